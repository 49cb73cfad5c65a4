"use strict";
// Everything is put in as text, never as HTML.
const make = (tag, text, cls) => {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = String(text);
  if (cls) made.className = cls;
  return made;
};
const byId = (id) => document.getElementById(id);
let whole;

const resolved = (schema) => (schema && schema.$ref ? whole.components.schemas[schema.$ref.split("/").pop()] : schema) || {};

// A value that fits a schema, to begin with.
const example = (given, depth = 0) => {
  const schema = resolved(given);
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const options = schema.anyOf || schema.oneOf;
  if (options) return example(options[0], depth + 1);
  if (schema.type === "object" || schema.properties) {
    const made = {};
    if (depth < 5) for (const [name, one] of Object.entries(schema.properties || {})) {
      if ((schema.required || []).includes(name)) made[name] = example(one, depth + 1);
    }
    return made;
  }
  return { string: "text", integer: 1, number: 1, boolean: false, array: [] }[schema.type] ?? null;
};

const kind = (given) => {
  if (given && given.$ref) return given.$ref.split("/").pop();
  const schema = given || {};
  const options = schema.anyOf || schema.oneOf;
  if (options) return options.map(kind).join(" | ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.type === "array") return `${kind(schema.items)}[]`;
  return [schema.type, schema.format].filter(Boolean).join(" ") || "any";
};

const fields = (given) => {
  const schema = resolved(given);
  const table = make("table");
  for (const [name, one] of Object.entries(schema.properties || {})) {
    const line = table.insertRow();
    line.insertCell().append(make("code", name + ((schema.required || []).includes(name) ? " *" : "")));
    line.insertCell().textContent = kind(one);
    line.insertCell().textContent = one.description || "";
  }
  return table;
};

const trial = (path, method, operation) => {
  const form = make("form");
  const inputs = new Map();
  for (const one of operation.parameters) {
    const label = make("label", `${one.name}${one.required ? " *" : ""} (${one.in}) `);
    const input = make("input");
    input.placeholder = kind(one.schema);
    input.title = one.description || "";
    label.append(input);
    form.append(label);
    inputs.set(one, input);
  }
  let body;
  if (operation.requestBody) {
    body = make("textarea");
    const schema = operation.requestBody.content["application/json"].schema;
    body.value = JSON.stringify(example(schema), null, 2);
    form.append(fields(schema), body);
  }
  const button = make("button", "Send");
  const answer = make("pre", "");
  form.append(make("br"), button, answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [one, input] of inputs) {
      if (input.value === "") continue;
      if (one.in === "path") url = url.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (one.in === "query") query.append(one.name, input.value);
      else headers[one.name] = input.value;
    }
    const token = byId("token").value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body) headers["Content-Type"] = "application/json";
    try {
      const got = await fetch(url + (query.size ? `?${query}` : ""), {
        method: method.toUpperCase(), headers, body: body ? body.value : undefined,
      });
      let text = await got.text();
      try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is shown as it is */ }
      answer.textContent = `${got.status} ${got.statusText}\n\n${text}`;
    } catch (error) {
      answer.textContent = `not sent: ${error}`;
    }
  });
  return form;
};

const entry = (path, method, operation) => {
  const details = make("details");
  details.dataset.text = `${method} ${path} ${operation.summary}`.toLowerCase();
  const summary = make("summary");
  summary.append(make("span", method, "method"), make("span", path, "path"), ` ${operation.summary}`);
  summary.append(make("span", operation["x-role"] || "open", "role"));
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const inner = make("div");
    inner.append(make("p", operation.description));
    const answers = make("table");
    for (const [status, one] of Object.entries(operation.responses)) {
      const line = answers.insertRow();
      line.insertCell().textContent = status;
      line.insertCell().textContent = one.description;
      line.insertCell().textContent = Object.values(one.content || {}).map((form) => kind(form.schema)).join(", ");
    }
    inner.append(answers, trial(path, method, operation));
    details.append(inner);
  });
  return details;
};

const show = () => {
  byId("about").textContent = `${whole.info.description} Version ${whole.info.version}.`;
  const groups = new Map();
  for (const [path, methods] of Object.entries(whole.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(entry(path, method, operation));
    }
  }
  const main = byId("operations");
  main.replaceChildren();
  for (const [tag, entries] of groups) main.append(make("h2", tag), ...entries);
  byId("find").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const one of document.querySelectorAll("details")) one.hidden = !one.dataset.text.includes(wanted);
  });
};

fetch("/api/v1/openapi.json").then((got) => got.json()).then((found) => { whole = found; show(); }).catch((error) => {
  byId("operations").textContent = `The document cannot be read: ${error}`;
});
