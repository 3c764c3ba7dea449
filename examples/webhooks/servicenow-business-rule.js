// Business rule on Incident: async, insert and update. It posts what config/mappings/servicenow.yaml reads.
// The REST message "slawatch" holds the endpoint https://<receiver>/webhooks/servicenow and the token of the receiver.
(function executeRule(current, previous) {
    var raw = ["sys_id", "number", "sys_created_on", "sys_updated_on", "sys_mod_count", "state", "priority", "impact",
               "urgency", "hold_reason"];
    var shown = ["assignment_group", "business_service", "company", "location"];
    var body = {operation: current.operation(), table: "incident", record: {}, display: {}, changes: {}};
    raw.forEach(function (name) { body.record[name] = current.getValue(name); });
    shown.forEach(function (name) { body.display[name] = current.getDisplayValue(name); });
    if (previous && current.state.changes()) {
        body.changes.state = {from: previous.getValue("state"), to: current.getValue("state")};
    }
    if (current.comments.changes()) {
        body.changes.comments = true;
    }
    var message = new sn_ws.RESTMessageV2("slawatch", "post");
    message.setRequestBody(JSON.stringify(body));
    var response = message.execute();
    if (response.getStatusCode() >= 300) {
        gs.error("slawatch: " + response.getStatusCode() + " " + response.getBody());
    }
})(current, previous);
