"use strict";
const at = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const docs = (data, kind) => (data && data[kind] ? data[kind].docs : []);
const day = (time) => (time || "").slice(0, 10);
const link = (url, text) => {
  const anchor = make("a", text);
  if (/^https?:\/\//.test(url)) anchor.href = url;
  anchor.rel = "noreferrer noopener";
  return anchor;
};
const row = (list, name, content) => {
  if (!content || (Array.isArray(content) && !content.length)) return;
  const cell = make("dd");
  for (const part of [].concat(content)) {
    cell.append(typeof part === "string" ? make("span", part, "tag") : part);
    cell.append(" ");
  }
  list.append(make("dt", name), cell);
};
const named = (data, from, kind) => {
  const ids = docs(data, "relationships").filter((it) => it.source_ref === from && it.relationship_type === "indicates").map((it) => it.target_ref);
  return docs(data, kind).filter((it) => ids.includes(it.id)).map((it) => it.title);
};
const pulse = (data, sighting) => {
  const member = docs(data, "relationships").find((it) => it.source_ref === sighting.id);
  const indicator = docs(data, "indicators").find((it) => member && it.id === member.target_ref) || {};
  const card = make("article");
  const title = make("h3");
  title.append(link(sighting.source_uri, sighting.title || sighting.external_ids[0]));
  const list = make("dl");
  row(list, "Author", indicator.producer && [make("span", indicator.producer)]);
  row(list, "TLP", [make("span", (sighting.tlp || "not told").toUpperCase(), "tlp")]);
  const end = indicator.valid_time && indicator.valid_time.end_time;
  const until = end ? (end.startsWith("2525") ? ", for good" : `, holds until ${day(end)}`) : "";
  row(list, "Added", [make("span", day(sighting.observed_time.start_time) + until)]);
  row(list, "Adversary", named(data, indicator.id, "actors"));
  row(list, "Malware", named(data, indicator.id, "malwares"));
  row(list, "ATT&CK", named(data, indicator.id, "attack_patterns"));
  row(list, "Tags", (indicator.tags || []).slice(0, 30));
  card.append(title, list);
  if (sighting.description) card.append(make("p", sighting.description.slice(0, 600), "faint"));
  return card;
};
const resolved = (sighting) => {
  const card = make("article");
  const list = make("dl");
  for (const {source, related, relation_info: seen} of sighting.relations) {
    row(list, `${day(seen.first)} to ${day(seen.last)}`, [make("span", `${source.value} resolved to ${related.value}`)]);
  }
  card.append(make("h3", sighting.title), list);
  return card;
};
const ago = (seconds) => {
  const [count, unit] = seconds < 120 ? [seconds, "second"] : [Math.floor(seconds / 60), "minute"];
  return `OTX said this ${count} ${unit}${count === 1 ? "" : "s"} ago.`;
};
const tone = {Clean: "good", Common: "good", Malicious: "bad", Suspicious: "warn"};
const show = (answer) => {
  const place = at("answer");
  place.replaceChildren();
  for (const error of answer.errors || []) {
    const line = make("p", undefined, error.type === "warning" ? "warn" : "bad");
    line.append(make("b", error.type === "warning" ? "Warning: " : "Error: "), error.message);
    place.append(line);
  }
  if (!answer.data) return;
  const seen = docs(answer.data, "sightings");
  const sightings = seen.filter((it) => !it.relations);
  const count = sightings.length;
  const head = count === 0 ? "Not in any pulse of OTX." : `Known: in ${count} ${count === 1 ? "pulse" : "pulses"} of OTX.`;
  place.append(make("h3", head));
  for (const judgement of docs(answer.data, "judgements")) {
    const line = make("p", undefined, tone[judgement.disposition_name] || "");
    const [word, ...rest] = judgement.reason.split(": ");
    line.append(make("b", `${word}: `), rest.join(": "));
    place.append(line);
  }
  for (const sighting of sightings) place.append(pulse(answer.data, sighting));
  for (const sighting of seen.filter((it) => it.relations)) place.append(resolved(sighting));
};
at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [place, button] = [at("answer"), at("go")];
  place.setAttribute("aria-busy", "true");
  button.disabled = true;
  place.replaceChildren(make("p", "Asking …"));
  try {
    const response = await fetch("/observe/observables", {
      method: "POST",
      headers: {Authorization: `Bearer ${at("token").value.trim()}`, "Content-Type": "application/json"},
      body: JSON.stringify([{type: at("type").value, value: at("value").value.trim()}]),
    });
    const [trace, age] = [response.headers.get("x-trace-id"), response.headers.get("x-cache-age")];
    const body = await response.json();
    show(body);
    if (body.message) place.append(make("p", `Error ${body.code}: ${body.message}`, "bad"));
    if (age !== null) place.append(make("p", ago(Number(age)), "faint"));
    place.append(make("p", `Trace ${trace}`, "faint"));
  } catch (error) {
    place.replaceChildren(make("p", `The relay could not be asked: ${error.message}`, "bad"));
  }
  button.disabled = false;
  place.setAttribute("aria-busy", "false");
});
