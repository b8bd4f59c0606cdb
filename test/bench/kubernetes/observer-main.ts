/** The observer's process, see `observer.ts`. Adapter: network, clock. */
import type { ObserverOrder, ObserverSettings, PodsSeen, Probes } from "./observer.ts";
import { answerOrders, linesOf, wallMs } from "./talker.ts";

const settings = JSON.parse(process.argv[2] ?? "") as ObserverSettings;

type Body = Record<string, unknown>;

function ask(path: string, init: { method?: string; body?: Body } = {}): Promise<Response> {
  const { authority, certificate, key } = settings;
  const hasBody = init.body !== undefined;
  return fetch(`${settings.url}${path}`, {
    method: init.method ?? "GET",
    headers: {
      "content-type": init.method === "PATCH" ? "application/merge-patch+json" : "application/json",
    },
    ...(hasBody ? { body: JSON.stringify(init.body) } : {}),
    tls: { ca: authority, cert: certificate, key },
  });
}

// --- what it takes others -------------------------------------------------------------------

const newProbes = (): Probes => ({ reads: [], writes: [], failed: 0, lagMs: [] });
let probes = newProbes();
const MAP = `/api/v1/namespaces/default/configmaps/${settings.name}`;

async function timed(into: number[], work: () => Promise<Response>): Promise<void> {
  const startMs = performance.now();
  try {
    const answer = await work();
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(String(answer.status));
    into.push(performance.now() - startMs);
  } catch {
    probes.failed++;
  }
}

async function probe(): Promise<void> {
  for (let n = 0; ; n++) {
    const startMs = performance.now();
    await timed(probes.reads, () => ask(MAP));
    await timed(probes.writes, () =>
      ask(MAP, { method: "PATCH", body: { data: { n: String(n) } } }),
    );
    const restMs = Math.max(1, settings.probeEveryMs - (performance.now() - startMs));
    const sleptMs = performance.now();
    await Bun.sleep(restMs);
    // What this process was late by itself is part of every figure above it.
    probes.lagMs.push(Math.max(0, performance.now() - sleptMs - restMs));
  }
}

// --- what becomes of objects ----------------------------------------------------------------

type Meta = { name: string; uid: string; resourceVersion: string; labels?: Record<string, string> };
type Seen = {
  metadata: Meta & { deletionTimestamp?: string };
  spec?: { unschedulable?: boolean };
  status?: { conditions?: { type: string; status: string }[] };
};

const unschedulable: Record<string, number> = {};
const gone: PodsSeen["gone"] = {};
const present = new Set<string>();
const healthy = new Map<string, Set<string>>();
const fewest: PodsSeen["fewest"] = {};

function take(type: string, object: Seen): void {
  const { name, uid } = object.metadata;
  if (settings.watch === "nodes") {
    if (object.spec?.unschedulable === true) unschedulable[name] ??= wallMs();
    return;
  }
  if (type === "DELETED") {
    gone[uid] = wallMs();
    present.delete(uid);
  } else present.add(uid);
  const group = object.metadata.labels?.[settings.groupLabel];
  if (group === undefined) return;
  const isReady = object.status?.conditions?.some(
    (one) => one.type === "Ready" && one.status === "True",
  );
  const set = healthy.get(group) ?? new Set();
  healthy.set(group, set);
  // As the disruption controller counts: ready, and not on its way out.
  const counts = type !== "DELETED" && isReady && object.metadata.deletionTimestamp === undefined;
  if (counts) set.add(uid);
  else set.delete(uid);
  fewest[group] = Math.min(fewest[group] ?? Number.POSITIVE_INFINITY, set.size);
}

async function watch(): Promise<never> {
  const path = `/api/v1/${settings.watch}`;
  const list = (await (await ask(path)).json()) as {
    metadata: { resourceVersion: string };
    items: Seen[];
  };
  for (const item of list.items) take("ADDED", item);
  // Counting begins with all of them, not with the first of them.
  for (const group of healthy.keys()) fewest[group] = healthy.get(group)?.size ?? 0;
  let version = list.metadata.resourceVersion;
  for (;;) {
    const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${version}`;
    const { body } = await ask(`${path}?${query}`);
    if (body === null) throw new Error("a watch without a body");
    for await (const line of linesOf(body)) {
      const event = JSON.parse(line) as { type: string; object: Seen };
      if (event.type === "ERROR") throw new Error(line);
      version = event.object.metadata.resourceVersion;
      if (event.type !== "BOOKMARK") take(event.type, event.object);
    }
  }
}

if (settings.watch !== "none") void watch();
if (settings.probeEveryMs > 0) {
  await ask("/api/v1/namespaces/default/configmaps", { method: "POST", body: mapOf() });
  void probe();
}

function mapOf(): Body {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: settings.name } };
}

await answerOrders(async (raw) => {
  const order = raw as ObserverOrder;
  if (order.do === "nodes") return { unschedulable };
  if (order.do === "pods") {
    const known = { present: present.size, ended: Object.keys(gone).length, fewest };
    return { ...known, gone: order.brief ? {} : gone };
  }
  const ended = probes;
  probes = newProbes();
  return ended;
});
process.exit(0);
