#!/usr/bin/env node
// An example of a `command` provider: the "cloud" is a folder with one JSON file an instance.
// Copy it, and put the calls of your own cloud where the comments say CLOUD.
// Usage in navarch.yaml:
//   providers: { mine: { type: command, class: name, command: /etc/navarch/provider.mjs FOLDER } }
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2] ?? "/var/lib/my-cloud";
mkdirSync(folder, { recursive: true });
const asked = JSON.parse(readFileSync(0, "utf8"));
const fileOf = (id) => join(folder, `${id}.json`);
const load = (id) => JSON.parse(readFileSync(fileOf(id), "utf8"));
const reply = (answer) => console.log(JSON.stringify({ version: 1, ...answer }));

// The class decides: an error of which you do not know whether the cloud accepted is "unknown".
function fail(kind, message) {
  reply({ error: { class: kind, message } });
  process.exit(0);
}

// What this cloud sells, and its price.
const PRICES = { "h100-8x": 0 };

function create({ name, tags, region, zone, instance_type, market }) {
  if (market && market !== "on-demand") fail("bad_request", `${market} is not sold here`);
  const instance = {
    id: name,
    name,
    state: "running",
    tags,
    region,
    zone,
    instance_type,
    internal_ip: "192.0.2.10",
    created_at: new Date().toISOString(),
    price_per_hour: 0,
  };
  try {
    // CLOUD: create the instance under this name, with these tags. "wx" fails if the name exists.
    writeFileSync(fileOf(name), JSON.stringify(instance), { flag: "wx" });
  } catch (error) {
    if (error.code !== "EEXIST") fail("unknown", error.message);
    // A repeated request: the same purchase gets the same instance.
    const made = load(name);
    if (made.tags["navarch-node"] !== tags["navarch-node"]) fail("bad_request", "name exists");
    return reply({ instance: made });
  }
  reply({ instance });
}

function terminate({ id }) {
  try {
    // CLOUD: end the instance. It must be no error that it has ended already.
    const ended = { ...load(id), state: "terminated" };
    writeFileSync(`${fileOf(id)}.new`, JSON.stringify(ended));
    renameSync(`${fileOf(id)}.new`, fileOf(id));
  } catch (error) {
    fail(error.code === "ENOENT" ? "not_found" : "unknown", error.message);
  }
  reply({ accepted: true });
}

function list() {
  // CLOUD: every page, or an error: a part of the list reads as "the rest is gone".
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  reply({ instances: files.map((file) => load(file.slice(0, -5))) });
}

// The last three are optional: `navarch doctor providers` and offer strategies use them.
function offers(places) {
  // CLOUD: price and stock of each place, in this order; null = not known.
  const answers = places.map(({ instance_type, market }) => ({
    price_per_hour: PRICES[instance_type] ?? null,
    available: instance_type in PRICES && market === "on-demand",
  }));
  reply({ offers: answers });
}

function quota() {
  // CLOUD: the limits of the account.
  reply({ quotas: [{ name: "instances", region: null, limit: 1000, used: null }] });
}

function inspect(places) {
  // CLOUD: are the credentials valid and may they buy? A dry run where the cloud has one.
  const findings = [{ check: "credentials", outcome: "ok", message: `${folder} is writable` }];
  for (const { instance_type } of places) {
    const known = instance_type in PRICES;
    const message = known ? `${instance_type} is sold` : `${instance_type} is not sold here`;
    findings.push({ check: "instance type", outcome: known ? "ok" : "fail", message });
  }
  reply({ findings });
}

if (asked.version !== 1) fail("bad_request", `version ${asked.version} is not supported`);
if (asked.operation === "create") create(asked.request);
else if (asked.operation === "terminate") terminate(asked.instance);
else if (asked.operation === "list") list();
else if (asked.operation === "offers") offers(asked.places);
else if (asked.operation === "quota") quota();
else if (asked.operation === "inspect") inspect(asked.places);
else fail("unsupported", `${asked.operation} is not supported`);
