"""Client options follow the settings; what can't be used is told with the setting and without the secret."""

import pytest
from pydantic import ValidationError

from config.settings import KafkaSettings, Settings
from streams.connection import KafkaFault, client_options, faust_brokers, faust_credentials
from streams.system_clock import now_ms

SASL = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "slawatch", "sasl_password": "s3cret"}


def test_a_plain_connection_needs_servers_and_a_timeout_only():
    options = client_options(KafkaSettings(bootstrap="a:1,b:2", request_timeout_seconds=2.5))

    assert options == {
        "bootstrap_servers": "a:1,b:2",
        "client_id": "slawatch",
        "request_timeout_ms": 2500,
        "security_protocol": "PLAINTEXT",
    }
    assert faust_credentials(KafkaSettings()) is None


def test_sasl_gives_user_password_and_mechanism_to_aiokafka_and_to_faust():
    kafka = KafkaSettings(**SASL)

    options = client_options(kafka)
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("slawatch", "s3cret")
    credentials = faust_credentials(kafka)
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password, credentials.ssl_context) == ("slawatch", "s3cret", None)


def test_tls_checks_the_brokers_certificate_and_name():
    kafka = KafkaSettings(security_protocol="SSL")

    context = client_options(kafka)["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert faust_credentials(kafka).protocol.value == "SSL"


def test_sasl_over_tls_has_both():
    kafka = KafkaSettings(**{**SASL, "security_protocol": "SASL_SSL"})

    assert {"sasl_mechanism", "ssl_context"} <= set(client_options(kafka))
    assert faust_credentials(kafka).protocol.value == "SASL_SSL"


def test_a_password_is_read_from_its_file_without_the_line_end(tmp_path):
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    kafka = KafkaSettings(**{**SASL, "sasl_password": None, "sasl_password_file": file})

    assert client_options(kafka)["sasl_plain_password"] == "s3cret"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({**SASL, "sasl_password": None, "sasl_password_file": "nowhere"}, "SLAWATCH_KAFKA__SASL_PASSWORD_FILE"),
        ({"security_protocol": "SSL", "ca_file": "nowhere"}, "SLAWATCH_KAFKA__CA_FILE"),
        ({"security_protocol": "SSL", "cert_file": "nowhere", "key_file": "nowhere"}, "SLAWATCH_KAFKA__CERT_FILE"),
    ],
)
def test_a_missing_file_is_told_with_its_setting(settings, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(KafkaFault, match=f"{name}: .*nowhere"):
        client_options(KafkaSettings(**settings))


def test_a_file_that_holds_no_certificate_is_told(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")

    with pytest.raises(KafkaFault, match="SLAWATCH_KAFKA__CA_FILE"):
        client_options(KafkaSettings(security_protocol="SSL", ca_file=file))


def test_a_password_is_never_shown():
    assert "s3cret" not in repr(KafkaSettings(**SASL))
    for make in (KafkaSettings, lambda **kafka: Settings(kafka=dict(kafka))):
        with pytest.raises(ValidationError) as refusal:
            make(**{**SASL, "sasl_username": None})
        assert "s3cret" not in str(refusal.value)


def test_faust_gets_each_server_as_an_url():
    assert faust_brokers(KafkaSettings(bootstrap="a:1, b:2,")) == ["kafka://a:1", "kafka://b:2"]


def test_the_clock_tells_epoch_milliseconds():
    first = now_ms()
    assert isinstance(first, int)
    assert 1_700_000_000_000 < first < 100_000_000_000_000
