import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { parse } from "yaml";
import type { NodeView } from "../../schema/api.ts";
import { json, navarch, startNavarch } from "./spawn.ts";
import { nodeView, NOW } from "./fleet.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { openStub, TOKEN } from "./stub.ts";

const stub = openStub();
const fresh = {
  nodes: stub.nodes,
  pool: { ...stub.pool },
  members: stub.members,
  events: [...stub.events],
};
const env = { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN };
const run = (...args: string[]) => navarch(args, env);

beforeEach(() => {
  Object.assign(stub, { ...fresh, pool: { ...fresh.pool }, events: [...fresh.events] });
  stub.seen.length = 0;
});
afterAll(() => stub.close());

const HEAD = [
  "Node ID",
  "Provider",
  "Region",
  "Zone",
  "Instance Type",
  "Status",
  "Health",
  "Last Heartbeat",
  "GPUs",
];

describe("every command prints its table", () => {
  test.each([
    ["list"],
    ["list -o wide"],
    ["get gpu-2"],
    ["cordon gpu-10"],
    ["drain gpu-10 --dry-run"],
    ["pool list"],
    ["pool status training"],
    ["pool status training --members"],
    ["pool scale training --add 2"],
    ["pool scale training --remove gpu-2"],
    ["instances"],
    ["instances get i-gpu-2"],
    ["explain node gpu-2"],
    ["explain pool training"],
    ["events"],
    ["plan"],
    ["plan -o wide"],
    ["safety"],
    ["freeze --reason roll-out"],
    ["unfreeze"],
    ["pool hold training --reason firmware --for 24h"],
    ["pool resume training"],
    ["policy show"],
    ["token list"],
  ])("navarch %s", async (line) => {
    const { code, out, err } = await run(...line.split(" "));
    expect({ code, out, err }).toMatchSnapshot();
    // Nothing that moves a terminal, no box, no trailing blank.
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2500-\u257f]| $/m);
  });
});

describe("navarch list", () => {
  test("has exactly the promised columns, two spaces apart", async () => {
    const { out } = await run("list");
    const [head = "", ...rows] = out.trimEnd().split("\n");
    expect(head.split(/ {2,}/)).toEqual(HEAD);
    expect(rows.map((row) => row.split(/ {2,}/).length)).toEqual([9, 9, 9, 9]);
    const wide = await run("list", "-o", "wide");
    const added = ["Pool", "Instance", "K8s Node", "Reason", "Age", "Phase", "Cordon"];
    expect(wide.out.split("\n")[0]?.split(/ {2,}/)).toEqual([...HEAD, ...added]);
  });

  test("sorts by pool, then id with numbers as numbers, strays last", async () => {
    const { out } = await run("list", "-o", "name");
    expect(out).toBe("alpha-1\ngpu-2\ngpu-10\nstray\n");
  });

  test("says that nothing was found on standard error, and prints [] as JSON", async () => {
    stub.nodes = [];
    expect(await run("list")).toEqual({ code: 0, out: "", err: "No nodes found\n" });
    expect(await run("list", "-o", "json")).toEqual({ code: 0, out: "[]\n", err: "" });
  });

  test("asks the server for what was filtered", async () => {
    const args = "--pool training --status ACTIVE --health node_nope".split(" ");
    expect((await run("list", ...args)).code).toBe(3);
    await run("list", "--status", "node_status_Unhealthy", "--label", "a=1,b=2", "--label=c=");
    const query = new URLSearchParams(stub.seen[0]?.query);
    expect(query.get("status")).toBe("NODE_STATUS_UNHEALTHY");
    expect(query.getAll("label")).toEqual(["a=1", "b=2", "c="]);
  });

  test("follows pages and stops at --limit", async () => {
    stub.nodes = Array.from({ length: 2_500 }, (_, i) => nodeView(`n${i}`));
    const { out } = await run("list", "-o", "name");
    expect(out.trimEnd().split("\n")).toHaveLength(2_500);
    expect(stub.seen).toHaveLength(3);
    expect((await run("list", "-o", "name", "--limit", "1200")).out.match(/\n/g)).toHaveLength(
      1_200,
    );
  });

  test("survives a reader that leaves early", async () => {
    stub.nodes = Array.from({ length: 2_000 }, (_, i) => nodeView(`n${i}`));
    const main = `${import.meta.dir}/../../cli/main.ts`;
    const script = '"$BUN" "$MAIN" list -o json | head -c 20; echo "; ${PIPESTATUS[0]}"';
    const child = Bun.spawn(["bash", "-c", script], {
      env: { ...env, PATH: process.env["PATH"] ?? "", BUN: process.execPath, MAIN: main },
      stderr: "pipe",
    });
    expect(await new Response(child.stdout).text()).toMatch(/; 0\n$/);
    expect(await new Response(child.stderr).text()).toBe("");
  });
});

describe("-o json", () => {
  test.each([
    ["list"],
    ["get gpu-2"],
    ["cordon gpu-10 --reason why"],
    ["drain gpu-10 --dry-run"],
    ["pool list"],
    ["pool status training"],
    ["pool status training --members"],
    ["pool scale training --add 2"],
    ["pool scale training --remove gpu-2"],
    ["pool scale training --nodes 3"],
    ["instances"],
    ["explain gpu-2"],
    ["events"],
    ["plan"],
    ["safety"],
    ["freeze --reason why --for 2h"],
    ["unfreeze"],
    ["pool hold training --reason why"],
    ["pool resume training"],
    ["policy show"],
    ["config show"],
    ["token list"],
    ["token create --role viewer"],
    ["token revoke t1"],
    ["doctor"],
    ["version"],
  ])("navarch %s prints one JSON value and nothing else", async (line) => {
    const { code, out } = await run(...line.split(" "), "-o", "json");
    expect(code).toBe(0);
    expect(json(out)).toBeObject();
  });

  test("answers the filters that upstream's text shows", async () => {
    const nodes = json((await run("list", "-o", "json")).out) as NodeView[];
    expect(nodes.map((node) => node.status)).toContain("NODE_STATUS_UNHEALTHY");
    expect(nodes.map((node) => node.health_status)).toContain("HEALTH_STATUS_HEALTHY");
    expect(nodes.map((node) => node.gpus.length)).toEqual([2, 2, 2, 0]);
    expect(nodes.map((node) => node.provider)).toEqual(["lambda", "lambda", "lambda", null]);
    const one = json((await run("get", "i-gpu-2", "-o", "json")).out);
    expect(one).toMatchObject({
      node_id: "gpu-2",
      last_heartbeat: expect.stringMatching(/^\d{4}-.*Z$/),
      metadata: { labels: { pool: "training" } },
      health_events: [{ kind: "xid", code: 79 }],
    });
  });

  test("of one order is an object and of several an array", async () => {
    const one = json((await run("cordon", "gpu-10", "-o", "json")).out);
    expect(one).toMatchObject({
      command_id: "c-cordon",
      node_id: "gpu-10",
      type: "cordon",
      issued_at: NOW,
      status: "applied",
    });
    const two = await run("cordon", "gpu-10", "alpha-1", "-ojson");
    expect(json(two.out)).toMatchObject([{ node_id: "gpu-10" }, { node_id: "alpha-1" }]);
  });

  test("has siblings: jsonl, yaml and name", async () => {
    const [lines, yaml, list] = await Promise.all([
      run("list", "-o", "jsonl"),
      run("list", "-o", "yaml"),
      run("list", "-o", "json"),
    ]);
    const nodes = json(list.out);
    expect(lines.out.trimEnd().split("\n").map(json)).toEqual(nodes as unknown[]);
    expect(parse(yaml.out)).toEqual(nodes);
  });
});

describe("orders", () => {
  test("carry reason, force, deadline and dry run", async () => {
    await run("drain", "gpu-10", "--reason", "kernel update", "--timeout-drain", "5m", "--force");
    const last = stub.seen.at(-1);
    expect(last).toMatchObject({ method: "POST", path: "/nodes/gpu-10/drain" });
    expect(last?.body).toEqual({ reason: "kernel update", timeout: "5m", force: true });
    await run("replace", "gpu-10", "--dry-run");
    expect(stub.seen.at(-1)?.body).toEqual({ force: false, dry_run: true });
  });

  test("go on after one that is refused, and end with its status", async () => {
    const { code, out, err } = await run("uncordon", "gpu-2", "nope", "gpu-10");
    expect(code).toBe(6);
    expect(out).toBe("Node gpu-10 uncordoned\nCommand ID: c-uncordon\n");
    expect(err).toContain("error: node gpu-2 is unhealthy: XID 79 on GPU 3 since 11:55");
    expect(err).toContain("error: no node nope");
  });

  test("warn about a node that is not heard, also in JSON mode", async () => {
    const { err } = await run("cordon", "gpu-10", "stray", "alpha-1", "-o", "json");
    expect(err.split("\n")).toEqual([
      "warning: the last heartbeat of node gpu-10 was 3m ago",
      "warning: node stray has never sent a heartbeat",
      "warning: the last heartbeat of node alpha-1 was 4d ago",
      "",
    ]);
  });

  test("that end a node want --yes where nobody can be asked", async () => {
    const refused = await run("terminate", "gpu-10");
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("--yes");
    expect(stub.seen).toEqual([]);
    expect((await run("terminate", "gpu-10", "--yes")).out).toStartWith(
      "Node gpu-10 terminating\n",
    );
  });
});

describe("--wait", () => {
  test("follows a drain until the node is drained", async () => {
    const ended = run("drain", "gpu-10", "--wait");
    await until(() => stub.events.some((event) => event.kind === "node.draining" && event.id > 3));
    const base = { at: NOW, node_id: "gpu-10", pool: null, session_id: null, actor: "navarch" };
    stub.events.push({ ...base, id: stub.events.length + 1, kind: "node.drained", message: "" });
    const { code, err } = await ended;
    expect({ code, err }).toMatchObject({
      code: 0,
      err: expect.stringContaining("gpu-10 drained"),
    });
  });

  test("ends with 7 when a drain is cancelled or late", async () => {
    const late = await run("drain", "gpu-10", "--wait", "--timeout", "200ms");
    expect(late.code).toBe(7);
    expect(late.err).toContain("node gpu-10 is not drained after 200ms");
    const off = run("drain", "gpu-10", "--wait");
    await until(() => stub.seen.filter((one) => one.path === "/events").length > 6);
    const base = { at: NOW, node_id: "gpu-10", pool: null, session_id: null, actor: "human:b" };
    stub.events.push({ ...base, id: stub.events.length + 1, kind: "node.uncordoned", message: "" });
    expect(await off).toMatchObject({ code: 7, err: expect.stringContaining("cancelled") });
  });

  test("follows a pool until it has its size", async () => {
    const ended = run("pool", "scale", "training", "--nodes", "3", "--wait");
    await until(() => stub.pool.desired === 3);
    stub.pool = { ...stub.pool, total_nodes: 3, healthy_nodes: 3, unhealthy_nodes: 0 };
    const { code, out } = await ended;
    expect(code).toBe(0);
    expect(out).toContain("Healthy:         3");
    const late = await run("pool", "scale", "training", "--nodes", "4", "--wait", "--timeout=1ms");
    expect(late).toMatchObject({ code: 7, err: expect.stringContaining("3 of 4 are healthy") });
    // Growth does not wait for machines that leave for another reason.
    expect(stub.seen.filter(({ path }) => path.endsWith("/members"))).toEqual([]);
  });

  test.each([
    ["--nodes", "1"],
    ["--remove", "gpu-2"],
  ])("follows %s %s until the clouds have ended the machines", async (flag, value) => {
    // The status no longer counts a machine that is to be terminated, and the cloud still bills it.
    const counts = { total_nodes: 1, healthy_nodes: 1, unhealthy_nodes: 0, provisioning: 0 };
    const shrunk = () => Object.assign(stub.pool, { desired: 2, draining: 0, ...counts });
    shrunk();
    const [one] = stub.members.members;
    if (one === undefined) throw new Error("no member");
    const leaving = { ...one, node_id: "gpu-3", state: "deleting", phase: "terminating" } as const;
    stub.members = { ...stub.members, members: [one, leaving] };
    const words = ["pool", "scale", "training", flag, value, "--wait"];
    const late = await run(...words, "--timeout", "50ms");
    const { instance_id: id, provider } = one;
    const still = `still there: gpu-3 (terminating, instance ${id} at ${provider})`;
    expect(late).toMatchObject({ code: 7, err: expect.stringContaining(still) });
    const asked = () => stub.seen.filter(({ path }) => path.endsWith("/members")).length;
    const before = asked();
    shrunk();
    const ended = run(...words);
    await until(() => asked() > before);
    stub.members = { ...stub.members, members: [one] };
    expect(await ended).toMatchObject({ code: 0 });
    expect(asked()).toBeGreaterThan(before + 1);
  });
});

describe("navarch pool scale", () => {
  test.each<[string, string, string, unknown]>([
    ["--nodes 3", "PUT", "size", { nodes: 3 }],
    ["--nodes 9 --clamp", "PUT", "size", { nodes: 9, clamp: true }],
    ["--add 2 --reason more", "POST", "grow", { by: 2, reason: "more" }],
    ["--lower-to 1", "POST", "shrink-target", { to: 1 }],
    ["--remove gpu-2", "POST", "remove", { nodes: ["gpu-2"] }],
    ["--remove gpu-2,gpu-10 --remove gpu-2", "POST", "remove", { nodes: ["gpu-2", "gpu-10"] }],
    ["--remove gpu-2 gpu-10", "POST", "remove", { nodes: ["gpu-2", "gpu-10"] }],
  ])("%s asks for that, and for nothing else", async (line, method, verb, body) => {
    await run("pool", "scale", "training", ...line.split(" "));
    expect(stub.seen).toMatchObject([{ method, path: `/pools/training/${verb}`, body }]);
  });

  test("that names a node which is not there removes none, and ends with 3", async () => {
    const { code, err } = await run("pool", "scale", "training", "--remove", "gpu-2", "nope");
    expect({ code, err }).toEqual({ code: 3, err: "error: no node nope; nothing was removed\n" });
  });
});

test("navarch pool status says that a pool is at its maximum", async () => {
  const full = { can_scale_up: false, cannot_scale_up: null, desired: 4, max_nodes: 4 };
  Object.assign(stub.pool, full);
  const { out } = await run("pool", "status", "training");
  expect(out).toMatch(/^Can Scale Up: +no \(at its maximum of 4 nodes\)$/m);
});

test("navarch explain of an unknown id names all that it looked for", async () => {
  const { code, err } = await run("explain", "nope");
  expect({ code, err }).toEqual({ code: 3, err: "error: no node, instance or pool nope\n" });
  expect((await run("explain", "trainin")).err).toContain('pool trainin: did you mean "training"?');
});

describe("navarch events", () => {
  test("reads every page, filters, and counts --since from the server's clock", async () => {
    const all = json((await run("events", "--node", "gpu-2", "-o", "json")).out);
    expect(all).toMatchObject([{ id: 1 }, { id: 2 }, { id: 3 }]);
    const { out } = await run("events", "--since", "285s", "-o", "name");
    expect(out).toBe("3\n");
    expect((await run("events", "--since", "yesterday")).code).toBe(2);
  });

  test("follows, one JSON object a line", async () => {
    const child = startNavarch(["events", "-f", "-o", "json", "--since", "2026-03-01"], env);
    const reader = child.stdout.getReader();
    let text = "";
    const readUntil = async (count: number) => {
      while (text.split("\n").length <= count) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`ended after: ${text}`);
        text += new TextDecoder().decode(value);
      }
    };
    await readUntil(3);
    const base = { at: NOW, node_id: "gpu-2", pool: null, session_id: null, actor: "navarch" };
    stub.events.push({ ...base, id: 4, kind: "node.drained", message: "no work is left" });
    await readUntil(4);
    child.kill("SIGINT");
    await child.exited;
    const ids = text
      .trimEnd()
      .split("\n")
      .map((line) => (json(line) as { id: number }).id);
    expect(ids).toEqual([1, 2, 3, 4]);
    expect(child.signalCode).toBe("SIGINT");
  });
});

describe("navarch token create", () => {
  test("prints the secret alone on standard output", async () => {
    const { out, err } = await run("token", "create", "--role", "viewer", "--expires-in", "1h");
    expect(out).toBe("nvt.secret\n");
    expect(err).not.toContain("nvt.secret");
    expect(stub.seen[0]?.body).toEqual({ role: "viewer", label: "", expires_in: "1h" });
  });
});

describe("navarch freeze and pool hold", () => {
  test("ask for what was said, and for nothing else", async () => {
    await run("freeze", "--reason", " a roll-out ");
    await run("freeze", "--reason", "x", "--for", "90m");
    await run("pool", "hold", "training", "--reason", "y", "--for=24h");
    await run("unfreeze", "--reason", "over");
    await run("pool", "resume", "training");
    expect(stub.seen.map(({ method, path, body }) => [method, path, body])).toEqual([
      ["PUT", "/safety/freeze", { reason: "a roll-out" }],
      ["PUT", "/safety/freeze", { reason: "x", for: "90m" }],
      ["PUT", "/pools/training/hold", { reason: "y", for: "24h" }],
      ["DELETE", "/safety/freeze", { reason: "over" }],
      ["DELETE", "/pools/training/hold", {}],
    ]);
  });
});

test("navarch config show prints what the control plane runs with as a file that reads", async () => {
  const { code, out } = await run("config", "show");
  expect(code).toBe(0);
  const { config, problems } = readConfig([{ name: "shown", text: out }]);
  expect(problems).toEqual([]);
  expect(config?.pools.map(({ name }): string => name)).toEqual(["p"]);
});

describe("navarch doctor", () => {
  test("tells what is wrong and what to do", async () => {
    stub.missing = ["store: disk full", "adoption: not finished"];
    stub.version = "9.9.9";
    const { code, out } = await run("doctor");
    stub.missing = [];
    stub.version = "0.1.0";
    expect(code).toBe(1);
    expect(out).toMatch(/fail +ready +store: disk full; adoption: not finished → see the log/);
    expect(out).toMatch(/warn +version +this is [\d.]+, the control plane is 9\.9\.9/);
    expect(out).toMatch(/warn +clock +this clock is \d+ s ahead/);
    expect(out).toMatch(/warn +access .*navarch token create --role operator/);
    expect(out).toMatch(/warn +nodes +3 of 4 not heard for two minutes/);
    expect(out).toMatch(
      /ok +provider lambda +bounded surplus: repeated requests are recognised by their tags/,
    );
    expect(out).toMatch(
      /ok +provider fake +exactly-once: repeated requests are recognised by a token/,
    );
    expect(out).toMatch(/warn +safety +frozen by admin: bad driver.*; breaker of pool:training/);
    expect(out).toMatch(/warn +instances +1 termination not confirmed .*navarch instances/);
  });

  test("names an end that the cloud refuses, and providers of one account", async () => {
    const { still_billed: billed, providers } = stub.safety;
    const [old] = billed.oldest;
    if (old === undefined) throw new Error("nothing is billed");
    const refused = "bad_request: OperationNotPermitted";
    stub.safety.still_billed = { ...billed, oldest: [{ ...old, refused }] };
    const shared = "providers fake and lambda buy with one account x";
    stub.safety.providers = providers.map((one) =>
      one.name === "fake" ? { ...one, shared } : one,
    );
    const { code, out } = await run("doctor");
    stub.safety.still_billed = billed;
    stub.safety.providers = providers;
    expect(code).toBe(1);
    expect(out).toMatch(
      /fail +instances +1 termination not confirmed; i-old is refused: bad_request: OperationNotPermitted/,
    );
    expect(out).toMatch(
      /warn +provider fake +providers fake and lambda buy with one account x → docs\/buying\.md/,
    );
  });

  test("fails for a provider that gives no machines, with why", async () => {
    const [lambda, fake] = stub.safety.providers;
    if (lambda === undefined || fake === undefined) throw new Error("no providers");
    const before = stub.safety;
    const trouble = "the agent of i-1 cannot start: exit 127";
    const providers = [
      { ...lambda, unavailable: "no adapter" },
      { ...fake, trouble },
    ];
    stub.safety = { ...before, providers };
    const { code, out } = await run("doctor");
    stub.safety = before;
    expect(code).toBe(1);
    expect(out).toMatch(/fail +provider lambda +no adapter → fix the provider or choose another/);
    expect(out).toMatch(/fail +provider fake +the agent of i-1 cannot start: exit 127 → navarch/);
  });

  test("warns of a pool below its size that says why, and of no other", async () => {
    const before = stub.pool;
    const why = "spend: 100 dollars an hour are reached";
    const below = { ...before, desired: 4, healthy_nodes: 3, conditions: [why] };
    stub.pool = below;
    const told = (await run("doctor")).out;
    stub.pool = { ...below, conditions: [] };
    const silent = (await run("doctor")).out;
    stub.pool = { ...below, healthy_nodes: 4 };
    const whole = (await run("doctor")).out;
    stub.pool = before;
    const name = `pool ${before.name}`;
    expect(told).toContain(`${name}`);
    expect(told).toMatch(
      /warn +pool \S+ +3 of 4 nodes serve: spend: 100 dollars .* → navarch pool status/,
    );
    expect(silent).not.toContain(name);
    expect(whole).not.toContain(`${name} `);
  });

  test("says that nobody answers", async () => {
    const { code, out } = await navarch(["doctor", "-s", "127.0.0.1:1", "-o", "json"]);
    expect(code).toBe(1);
    expect(json(out)).toMatchObject([{ check: "reachable", outcome: "fail" }]);
  });
});

/** Waits on a level, with a deadline far beyond any honest run. */
async function until(reached: () => boolean): Promise<void> {
  const deadline = Date.now() + 8_000;
  while (!reached()) {
    if (Date.now() > deadline) throw new Error("never reached");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
