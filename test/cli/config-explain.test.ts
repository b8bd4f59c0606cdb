import { expect, test } from "bun:test";
import { json, navarch } from "./spawn.ts";

test("navarch config explain shows one key with type, default, meaning and place", async () => {
  const { code, out } = await navarch(["config", "explain", "pools[0].drain.timeout"]);
  expect(code).toBe(0);
  expect(out).toBe(`Key:      pools.drain.timeout
Type:     duration
Default:  30m
Meaning:  Limit of the whole drain; 0 means no limit.
Example:
  pools:
    - drain:
        timeout: 30m
`);
  const other = await navarch(["config", "explain", "providers.east.region", "-o", "json"]);
  expect(json(other.out)).toMatchObject({ key: "providers.NAME.region", type: "text" });
});

test("it lists the keys of a section, and all of them", async () => {
  const { out } = await navarch(["config", "explain", "server.tls", "-o", "name"]);
  expect(out.split("\n")).toContain("server.tls.own_ca");
  const all = (await navarch(["config", "explain", "-o", "name"])).out.split("\n");
  expect(all).toContain("pools.scaling.autoscaler.type");
  expect(new Set(all).size).toBe(all.length);
});

test.each([
  ["pools.scaling.max_noeds", ': did you mean "pools.scaling.max_nodes"?'],
  ["max_nodes", ': did you mean "pools.scaling.max_nodes"?'],
  ["xyzzy", " (navarch config explain lists all)"],
])("an unknown key %s is not found", async (key, hint) => {
  const { code, err } = await navarch(["config", "explain", key]);
  expect({ code, err }).toEqual({ code: 3, err: `error: no configuration key "${key}"${hint}\n` });
});

test.each([
  ["pools.providers.weight", "pools:\n  - providers:\n      - weight: 1\n"],
  [
    "pools.scaling.autoscaler.schedule.cron",
    "pools:\n  - scaling:\n      autoscaler:\n        schedule:\n          - cron: …\n",
  ],
  ["server.heartbeat_interval", "server:\n  heartbeat_interval: 30s\n"],
  ["pools.name", "pools:\n  - name: …\n"],
  ["providers.prices", "providers:\n  NAME:\n    prices: …\n"],
])("the example of %s is in the form of the file", async (key, example) => {
  const { code, out } = await navarch(["config", "explain", key, "-o", "json"]);
  expect(code).toBe(0);
  expect(json(out)).toMatchObject({ example });
});

test("--json-schema prints what a first line of config init names", async () => {
  const { code, out } = await navarch(["config", "explain", "--json-schema"]);
  const { $id } = json(out) as { $id: string };
  const init = await navarch(["config", "init", "--provider", "fake"]);
  expect({ code, line: init.out.split("\n")[0] }).toEqual({
    code: 0,
    line: `# yaml-language-server: $schema=${$id}`,
  });
});
