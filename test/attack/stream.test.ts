/**
 * One node's credential on many connections, and reports faster than the control plane takes them:
 * what the node gets, what its neighbour gets, and that an agent which waits loses nothing.
 */
import { afterEach, expect, test } from "bun:test";
import { Delivery } from "../../agent/report/delivery.ts";
import { createSender } from "../../agent/report/send.ts";
import { createMemoryStorage } from "../../agent/spool/spool-storage.ts";
import { Spool } from "../../agent/spool/spool.ts";
import type { TokenSource } from "../../agent/report/token.ts";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { Quota } from "../../reconciler/http/route/quota.ts";
import type { Finding } from "../../schema/finding.ts";
import type { BootId, NodeId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { applicationFinding, inventoryOf } from "../bench/report.ts";
import { Plane } from "../identity/plane.ts";

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Nothing is refilled meanwhile: how much of the world's time a call takes is this machine's. */
const STILL = { monoMs: () => 0 };

async function open(): Promise<Plane> {
  const p = await Plane.open(1);
  closing.push(() => p.close());
  p.ports.quota = new Quota(STILL, p.ports.log);
  return p;
}

/** A second process of the fleet, as far as its port goes. */
function standBy(p: Plane): string {
  const sign = (text: string): string => p.a.authority.sign(text);
  const forward = new Forward({ clock: p.w.clock, leader: () => p.base, peer: () => null, sign });
  const ports = { ...p.ports, quota: new Quota(STILL, p.ports.log, 2) };
  const front = new Front(ports, { forward, refresh: async () => undefined });
  const server = listen(() => front, p.w.config, { host: "127.0.0.1", port: 0 }, null);
  closing.push(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

type Stream = {
  socket: WebSocket;
  /** Whether it was opened. */
  opened: Promise<boolean>;
  /** The code with which it ended. */
  closed: Promise<number>;
  heard: string[];
};

function connect(base: string, token: string): Stream {
  const url = `${base.replace("http", "ws")}/v1/agent/stream`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
  const opened = Promise.withResolvers<boolean>();
  const closed = Promise.withResolvers<number>();
  const heard: string[] = [];
  socket.onopen = () => opened.resolve(true);
  socket.onmessage = ({ data }) => void heard.push(String(data));
  socket.onclose = ({ code }) => {
    opened.resolve(false);
    closed.resolve(code);
  };
  closing.push(() => socket.close());
  return { socket, opened: opened.promise, closed: closed.promise, heard };
}

function reportOf(node: string, n: number, more: Record<string, unknown> = {}): string {
  return JSON.stringify({
    version: 1,
    node_id: node,
    boot_id: `boot-${node}`,
    stream: "s",
    agent_version: "x",
    simulated: true,
    sent_at: new Date(n).toISOString(),
    ...more,
  });
}

const nodes = (p: Plane): number =>
  [...p.w.reconciler.fleet().nodes.values()].filter(({ agent }) => agent !== null).length;
const firstOf = (p: Plane): string => p.w.serving()[0] ?? "";

for (const role of ["leader", "standby"] as const) {
  test(`a ${role} keeps one connection of a node, the newest`, async () => {
    const p = await open();
    const base = role === "leader" ? p.base : standBy(p);
    const token = nodeToken("s", firstOf(p));
    const streams: Stream[] = [];
    for (let i = 0; i < 10; i++) {
      const stream = connect(base, token);
      expect(await p.during(stream.opened)).toBe(true);
      streams.push(stream);
    }
    const last = streams.pop();
    for (const { closed } of streams) expect(await p.during(closed)).toBe(1008);
    last?.socket.send(reportOf(firstOf(p), 1));
    await p.during(Promise.race([last?.closed, until(() => (last?.heard.length ?? 0) > 0)]));
    expect(last?.heard).toHaveLength(1);
  });

  test(`a ${role} ends a connection that does not wait, and answers its neighbour`, async () => {
    const p = await open();
    const base = role === "leader" ? p.base : standBy(p);
    const quiet = firstOf(p);
    const neighbour = connect(base, nodeToken("s", quiet));
    const noisy = connect(base, nodeToken("s", "noisy"));
    await p.during(Promise.all([neighbour.opened, noisy.opened]));
    const pad = { inventory: { hostname: "x".repeat(255), gpus: [] } };
    const flood = async (): Promise<number> => {
      for (let i = 0; i < 20_000 && noisy.socket.readyState === WebSocket.OPEN; i++) {
        noisy.socket.send(reportOf("noisy", i, pad));
        if (i % 10 === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
      }
      return noisy.closed;
    };
    const ended = during(p, flood());
    neighbour.socket.send(reportOf(quiet, 1));
    await during(
      p,
      until(() => neighbour.heard.length === 1),
    );
    expect(await ended).toBeOneOf([1008, 1013]);
    expect(JSON.parse(neighbour.heard[0] ?? "")).toMatchObject({ node_id: quiet });
    // It may come back a few times, and then has to wait.
    let times = 0;
    for (; times < 100; times++) {
      if (!(await p.during(connect(base, nodeToken("s", "noisy")).opened))) break;
    }
    expect(times).toBeLessThan(2 * LIMIT.node.connections.burst + 5);
    expect(nodes(p)).toBe(2);
  });
}

test("reports by POST that come too fast are answered 429 with the time to wait", async () => {
  const p = await open();
  const node = firstOf(p);
  const post = (): Promise<Response> =>
    fetch(`${p.base}/v1/agent/report`, {
      method: "POST",
      headers: { authorization: `Bearer ${nodeToken("s", node)}` },
      body: reportOf(node, 1),
    });
  const statuses = new Map<number, number>();
  let wait: string | null = null;
  for (let i = 0; i < 300; i++) {
    const answer = await p.during(post());
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    if (answer.status === 429) wait = answer.headers.get("retry-after");
  }
  expect(statuses.get(202)).toBeGreaterThanOrEqual(LIMIT.node.reports.burst);
  expect(statuses.get(429)).toBeGreaterThan(0);
  expect(Number(wait)).toBeGreaterThan(0);
});

async function until(look: () => boolean): Promise<void> {
  while (!look()) await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** The world's time passes for as long as it takes. */
async function during<T>(p: Plane, pending: Promise<T>): Promise<T> {
  let done = false;
  const settled = pending.finally(() => (done = true));
  while (!done) await p.during(Promise.race([settled, Bun.sleep(20)]));
  return settled;
}

/** Three times what is let in at once. */
const COUNT = 1_500;

/** Twenty times as fast as this machine's, so that waiting takes less of it. */
const fast = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now() * 20,
  after(ms: number, work: () => void) {
    const timer = setTimeout(work, ms / 20);
    return () => clearTimeout(timer);
  },
};

/** What is stored of the node's findings, by number. */
async function stored(p: Plane, node: string): Promise<number> {
  const rows = (await p.w.store?.pastFindings({ since: 0, after: null, limit: 10_000 })) ?? [];
  return rows.filter((row) => row.node === node).length;
}

for (const way of ["stream", "post"] as const) {
  test(`an agent that is asked to wait sends every finding once, by ${way}`, async () => {
    const p = await open();
    const front = new Front({ ...p.ports, quota: new Quota(fast, () => undefined, 1 / 20) }, null);
    // A proxy that forbids upgrades is the reason for POST.
    const proxy = (request: Request): Promise<Response> | Response => {
      const { pathname } = new URL(request.url);
      if (pathname.endsWith("/stream")) return new Response("", { status: 403 });
      return front.answer(request, pathname);
    };
    const server =
      way === "post"
        ? Bun.serve({ port: 0, fetch: proxy })
        : listen(() => front, p.w.config, { host: "127.0.0.1", port: 0 }, null);
    closing.push(() => server.stop(true));
    const node = firstOf(p) as NodeId;
    const { wallMs, monoMs } = fast;
    const storage = createMemoryStorage();
    const spool = new Spool({ storage, streamId: () => "st", wallMs, monoMs });
    const at = new Date(0).toISOString();
    const one = applicationFinding(0, "boot-x", at) as Finding;
    spool.append(Array<Finding>(COUNT).fill(one), [], null);
    const complaints: string[] = [];
    const tokens: TokenSource = {
      current: () => ({ value: nodeToken("s", node), source: "" }),
      rejected: () => undefined,
      accepted: () => undefined,
      adopt: () => null,
      hasOwn: () => true,
    };
    const sender = createSender({
      base: `http://127.0.0.1:${server.port}`,
      tokens,
      clock: fast,
      random: Math.random,
      agentVersion: "x",
      timeoutMs: 200_000,
    });
    const delivery = new Delivery({
      clock: fast,
      sender,
      spool,
      random: Math.random,
      log: (_, message) => void complaints.push(message),
      envelope: () => ({
        version: 1,
        node_id: node,
        boot_id: "boot-x" as BootId,
        agent_version: "x",
        simulated: true,
        sent_at: at,
        inventory: inventoryOf(0, node),
        sample: null,
      }),
      delivered: () => undefined,
      podToken: () => null,
      notice: () => null,
      heard: ({ stream, ack_seq }) => void spool.acknowledge(stream, ack_seq),
    });
    closing.push(() => sender.close());
    delivery.heartbeat();
    await during(
      p,
      until(() => spool.agreed && spool.stats().depth === 0),
    );
    await during(p, Bun.sleep(100));
    expect(complaints).toEqual(["report rate limit of the control plane exceeded"]);
    expect(await stored(p, node)).toBe(COUNT);
  });
}

test.each(["ping", "pong"] as const)("a flood of %ss ends the connection", async (kind) => {
  const p = await open();
  for (const base of [p.base, standBy(p)]) {
    const { socket, opened, closed } = connect(base, nodeToken("s", "n-1"));
    expect(await opened).toBe(true);
    for (let n = 0; n < 1_000; n++) socket[kind]();
    expect(await closed).toBe(1006);
  }
});
