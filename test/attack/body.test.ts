/**
 * Request bodies of callers that are slow, many or nobody: whom the control plane reads from, how
 * long and how much, as leader and as a standby.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Authority, nodeToken } from "../../reconciler/security/auth.ts";
import { Bodies } from "../../reconciler/http/route/body.ts";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { Plane } from "../identity/plane.ts";
import { type Caller, headOf, openCaller } from "./socket.ts";

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const MIB = 1024 * 1024;
const NODE = nodeToken("s", "n-1");

type Open = { p: Plane; base: string; bodies: Bodies; call(): Caller };

/** A leader or a standby of it, whose bodies can be counted. */
async function open(role: "leader" | "standby", limits?: { deadlineMs: number; bytesMax: number }) {
  const p = await Plane.open(1);
  closing.push(() => p.close());
  const sign = (text: string): string => p.a.authority.sign(text);
  const forward = new Forward({ clock: p.w.clock, leader: () => p.base, peer: () => null, sign });
  const standby = { forward, refresh: async () => undefined };
  const bodies = new Bodies(limits);
  const known = { secret: "s", admins: ["root"], shared: [], credentials: [], anonymous: false };
  const ports = role === "leader" ? p.ports : { ...p.ports, authority: new Authority(known) };
  const front = new Front(ports, role === "leader" ? null : standby, { bodies });
  const server = listen(() => front, p.w.config, { host: "127.0.0.1", port: 0 }, null);
  closing.push(() => server.stop(true));
  const base = `http://127.0.0.1:${server.port}`;
  const call = (): Caller => {
    const caller = openCaller(base);
    closing.push(() => caller.end());
    return caller;
  };
  return { p, base, bodies, call } satisfies Open;
}

for (const role of ["leader", "standby"] as const) {
  test(`a ${role} answers 401 to a stranger whose body has begun, and reads no more`, async () => {
    const { p, bodies, call } = await open(role);
    const callers = Array.from({ length: 30 }, call);
    for (const caller of callers) {
      caller.write(headOf("/v1/nodes/n/cordon", "nvt.guess", MIB));
      caller.write("x".repeat(1_000));
    }
    const statuses = await p.during(Promise.all(callers.map(({ status }) => status)));
    expect(statuses).toEqual(Array(30).fill(401));
    expect(bodies.bytes).toBe(0);
    // The connection ends with the answer: the rest has nowhere to go.
    for (const caller of callers) caller.write("x");
    const said = await p.during(Promise.all(callers.map(({ closed }) => closed)));
    expect(said.every((text) => /connection: close/i.test(text))).toBe(true);
  });

  test(`a ${role} ends a body that comes a byte at a time, by the clock`, async () => {
    const { p, bodies, call } = await open(role, { deadlineMs: 600, bytesMax: MIB });
    const callers = Array.from({ length: 3 }, call);
    const begun = performance.now();
    for (const caller of callers) caller.write(headOf("/v1/agent/report", NODE, 1_000));
    const timer = setInterval(() => callers.forEach((caller) => caller.write("x")), 50);
    closing.push(() => clearInterval(timer));
    const statuses = await Promise.all(callers.map(({ status }) => status));
    expect(statuses).toEqual([408, 408, 408]);
    await Promise.all(callers.map(({ closed }) => closed));
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(bodies.bytes).toBe(0);
    void p;
  });

  test(`a ${role} reads a few bodies of one node at once, and others beside them`, async () => {
    const { p, bodies, base, call } = await open(role);
    const slow = Array.from({ length: 50 }, call);
    for (const caller of slow) caller.write(headOf("/v1/agent/report", NODE, 200_000));
    const refused = await p.during(Promise.all(slow.slice(4).map(({ status }) => status)));
    expect(refused).toEqual(Array(46).fill(429));
    expect(bodies.bytes).toBe(4 * 200_000);
    const other = fetch(`${base}/v1/nodes/none/cordon`, {
      method: "POST",
      headers: { authorization: "Bearer root" },
      body: "{}",
    });
    expect((await p.during(other)).status).toBe(404);
  });
}

test("bodies of all callers share one sum, of which strangers have a part", async () => {
  const { p, bodies, call } = await open("leader", { deadlineMs: 5_000, bytesMax: MIB });
  const token = (node: number): string => nodeToken("s", `n-${node}`);
  const join = call();
  join.write(headOf("/v1/agent/join", null, 16_000));
  const slow = Array.from({ length: 6 }, call);
  for (const [index, caller] of slow.entries()) {
    caller.write(headOf("/v1/agent/report", token(index), 200_000));
  }
  expect(await p.during(slow[5]?.status ?? Promise.resolve(0))).toBe(503);
  expect(bodies.bytes).toBe(16_000 + 5 * 200_000);
  const strangers = Array.from({ length: 20 }, (_, index) => {
    const caller = openCaller(p.base, `127.0.0.${index + 2}`);
    closing.push(() => caller.end());
    return caller;
  });
  for (const caller of strangers) caller.write(headOf("/v1/agent/join", null, 17_000));
  expect(await p.during(Promise.all(strangers.map(({ status }) => status)))).toEqual(
    Array(20).fill(413),
  );
});

test("a body without a length is read up to its limit, and not beyond", async () => {
  const { p, bodies, call } = await open("leader");
  const [small, large] = [call(), call()];
  for (const caller of [small, large]) caller.write(headOf("/v1/agent/join", null, null));
  small.write("2\r\n{}\r\n0\r\n\r\n");
  expect(await p.during(small.status)).toBe(400);
  for (let i = 0; i < 20; i++) large.write(`400\r\n${"x".repeat(1_024)}\r\n`);
  expect(await p.during(large.status)).toBe(413);
  expect(bodies.bytes).toBe(0);
});

test("a token that only the leader knows yet is taken by a standby", async () => {
  const { p, base } = await open("standby");
  const made = await p.call("POST", "/v1/tokens", { body: { role: "operator" } });
  expect(made.status).toBe(201);
  const answer = fetch(`${base}/v1/nodes/none/cordon`, {
    method: "POST",
    headers: { authorization: `Bearer ${String(made.body["token"])}` },
    body: "{}",
  });
  expect((await p.during(answer)).status).toBe(404);
});

test("a standby asks once a second about an address that fails too often", async () => {
  const { p } = await open("leader");
  let [asked, monoMs] = [0, 0];
  const clock = {
    monoMs: () => monoMs,
    wallMs: () => p.w.clock.wallMs(),
    after: (ms: number, work: () => void) => p.w.clock.after(ms, work),
  };
  const leader = (): string => {
    asked++;
    return p.base;
  };
  const forward = new Forward({
    clock,
    leader,
    peer: () => null,
    sign: (text) => p.a.authority.sign(text),
  });
  const guess = async (remote: string): Promise<number> => {
    const headers = { authorization: "Bearer nvt.guess" };
    const request = new Request(`${p.base}/v1/nodes/n/cordon`, { method: "POST", headers });
    return (await p.during(forward.ask(request, remote)))?.status ?? 0;
  };
  const statuses: number[] = [];
  for (let i = 0; i < 200; i++) statuses.push(await guess("203.0.113.9"));
  const refused = statuses.indexOf(429);
  expect(refused).toBeGreaterThan(10);
  expect(new Set(statuses.slice(refused))).toEqual(new Set([429]));
  expect(asked).toBe(refused + 1);
  // Its neighbour is none of that, and it is asked about again.
  expect(await guess("203.0.113.10")).toBe(401);
  expect(asked).toBe(refused + 2);
  monoMs += 1_000;
  await guess("203.0.113.9");
  expect(asked).toBe(refused + 3);
});

test("one caller reads a few metrics pages at once, and others beside it", async () => {
  const { p } = await open("leader");
  const get = (from: string): Caller => {
    const caller = openCaller(p.base, from);
    closing.push(() => caller.end());
    caller.write("GET /metrics HTTP/1.1\r\nHost: navarch\r\n\r\n");
    return caller;
  };
  const many = Array.from({ length: 40 }, () => get("127.0.0.9"));
  const statuses = await p.during(Promise.all(many.map(({ status }) => status)));
  // A page of this fleet is read in no time: at least those that came together had to wait.
  expect(new Set(statuses)).toEqual(new Set([200, 429]));
  expect(await p.during(get("127.0.0.10").status)).toBe(200);
});

/** Two spellings of one path, and two heads after which a request has no host in its URL. */
const SPELT: [what: string, (head: string) => string][] = [
  ["in escapes", (head) => head.replace("/v1/", "/%761/")],
  ["in escapes below /api", (head) => head.replace("/v1/", "/ap%69/v1/")],
  ["behind a host that is none", (head) => head.replace("Host: navarch", 'Host: a"b')],
  ["in HTTP/1.0 without a host", (head) => head.replace("1.1\r\nHost: navarch", "1.0")],
];

describe.each(SPELT)("a path written %s", (_what, spell) => {
  test("is passed on by a standby", async () => {
    const { p, call } = await open("standby");
    const [node] = p.w.serving();
    const caller = call();
    caller.write(spell(headOf(`/v1/nodes/${node}/cordon`, "root", 2)));
    caller.write("{}");
    expect(await p.during(caller.answer)).toContain('"type":"cordon"');
  });

  test("gives a body no more time than another", async () => {
    const { p, bodies, call } = await open("leader", { deadlineMs: 300, bytesMax: MIB });
    const caller = call();
    caller.write(spell(headOf("/v1/agent/join", null, 1_000)));
    caller.write("{");
    expect(await p.during(caller.answer)).toContain("did not arrive");
    expect(bodies.bytes).toBe(0);
  });
});

/** What the plane's build servers sign with. */
function sharedSecret(p: Plane): string {
  const path = join(p.folder, "pipeline-secret");
  writeFileSync(path, "a shared secret of a build server");
  p.w.reconciler.activeConfig().server.console.pipelineSecretFile = path;
  return "a shared secret of a build server";
}

for (const role of ["leader", "standby"] as const) {
  test(`a ${role} reads no body of a pipeline report without a signature`, async () => {
    const { p, bodies, call } = await open(role);
    sharedSecret(p);
    const callers = Array.from({ length: 30 }, call);
    for (const caller of callers) {
      caller.write(headOf("/api/pipelines", null, MIB));
      caller.write("x".repeat(1_000));
    }
    const statuses = await p.during(Promise.all(callers.map(({ status }) => status)));
    expect(statuses).toEqual(Array(30).fill(401));
    expect(bodies.bytes).toBe(0);
  });

  test(`a ${role} takes a pipeline report that is signed`, async () => {
    const { p, base } = await open(role);
    const secret = sharedSecret(p);
    const body = JSON.stringify({
      ...{ id: "run-1", name: "build", status: "running", branch: "main", commit: "0123abcd" },
      ...{ commitMessage: "Fix it", author: "ann", stages: [] },
      startTime: new Date(p.w.clock.wallMs()).toISOString(),
    });
    const mac = createHmac("sha256", secret).update(body).digest("hex");
    const headers = { "x-hub-signature-256": `sha256=${mac}` };
    const answer = await p.during(
      fetch(`${base}/api/pipelines`, { method: "POST", headers, body }),
    );
    expect(answer.status).toBe(202);
  });

  test(`a ${role} counts bodies of pipeline reports that carry a signature`, async () => {
    const { bodies, call } = await open(role);
    const signed = headOf("/api/pipelines", null, 100_000).replace(
      "\r\n\r\n",
      `\r\nX-Hub-Signature-256: sha256=${"0".repeat(64)}\r\n\r\n`,
    );
    const callers = Array.from({ length: 40 }, call);
    for (const caller of callers) caller.write(signed);
    // 16 places of 40 callers.
    const displaced = await Promise.all(callers.slice(0, 24).map(({ status }) => status));
    expect(displaced).toEqual(Array(24).fill(503));
    expect(bodies.bytes).toBe(16 * 100_000);
  });

  test(`sixteen slow bodies do not keep a neighbour from joining at a ${role}`, async () => {
    const { p, base, bodies, call } = await open(role);
    const slow = Array.from({ length: 16 }, call);
    for (const caller of slow) caller.write(headOf("/v1/agent/join", null, 16_000));
    for (const path of ["/login", "/v1/agent/join"]) {
      const isForm = path === "/login";
      const type = isForm ? "application/x-www-form-urlencoded" : "application/json";
      const body = isForm ? "token=root" : JSON.stringify({ token: "nvj.x", node_id: "n" });
      const asked = fetch(`${base}${path}`, {
        method: "POST",
        headers: { "content-type": type },
        redirect: "manual",
        body,
      });
      const { status } = await p.during(asked);
      expect(status === 429 || status === 503).toBe(false);
    }
    expect(await slow[0]?.status).toBe(503);
    expect(bodies.bytes).toBe(15 * 16_000);
  });
}

test("an address that fills the strangers' part of the sum displaces its own bodies", async () => {
  const { p, base, bodies, call } = await open("leader", { deadlineMs: 5_000, bytesMax: MIB });
  const quiet = openCaller(base, "127.0.0.7");
  closing.push(() => quiet.end());
  quiet.write(headOf("/v1/agent/join", null, 16_000));
  const loud = Array.from({ length: 16 }, call);
  for (const caller of loud) caller.write(headOf("/v1/agent/join", null, 16_384));
  expect(await loud[0]?.status).toBe(503);
  expect(bodies.bytes).toBe(16_000 + 15 * 16_384);
  quiet.write("x".repeat(16_000));
  expect(await p.during(quiet.status)).toBe(400);
});
