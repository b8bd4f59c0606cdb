/**
 * Reading from a real API server: lists in pages, watches with their ends, the reflector across a
 * restart with its history gone, many requests on few connections, and a server that hangs.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { readList } from "../../../../reconciler/kubernetes/call.ts";
import { readIdentity, readObject } from "../../../../reconciler/kubernetes/read-field.ts";
import type { Identity } from "../../../../reconciler/kubernetes/read-field.ts";
import { Reflector } from "../../../../reconciler/kubernetes/reflector.ts";
import type { WatchEvent } from "../../../../reconciler/kubernetes/api.ts";
import { CALL_MS, NAMESPACE, call, expectThat, refuse, succeed, until } from "./case.ts";
import type { Case, Ground } from "./case.ts";

const MAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
const ITEMS = 1_100;

const read = (json: unknown): Identity | null =>
  readIdentity(readObject(readObject(json)["metadata"]));

const create = ({ api }: Ground, name: string, labels: Record<string, string> = {}) =>
  succeed(api, { verb: "create", path: MAPS, body: { metadata: { name, labels } } });

const remove = ({ api }: Ground, name: string) =>
  succeed(api, { verb: "delete", path: `${MAPS}/${name}`, body: {} });

async function listInPages(ground: Ground): Promise<string> {
  const made = Array.from({ length: ITEMS }, (_, n) => create(ground, `item-${n}`, { of: "list" }));
  await Promise.all(made);
  const startedMs = ground.clock.monoMs();
  const query = { labelSelector: "of=list" };
  const answer = await readList(ground.api, MAPS, query, { timeoutMs: CALL_MS, read });
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  const names = new Set(answer.items.map(({ name }) => name));
  expectThat("every item once", names.size === ITEMS && answer.items.length === ITEMS, names.size);
  return `${ITEMS} in ${Math.round(ground.clock.monoMs() - startedMs)} ms`;
}

async function watchLife(ground: Ground): Promise<string> {
  const empty = await readList(
    ground.api,
    MAPS,
    { labelSelector: "of=watch" },
    { timeoutMs: CALL_MS, read },
  );
  if (empty.kind !== "ok") throw new Error(JSON.stringify(empty));
  const events: WatchEvent[] = [];
  const query = {
    labelSelector: "of=watch",
    resourceVersion: empty.resourceVersion,
    allowWatchBookmarks: "true",
    timeoutSeconds: "6",
  };
  const options = { signal: new AbortController().signal, silenceMs: 30_000 };
  const end = ground.api.watch(MAPS, query, (event) => events.push(event), options);
  await create(ground, "watched", { of: "watch" });
  await remove(ground, "watched");
  const why = await end;
  expectThat("the watch ends in order at its time", why.kind === "ended", why);
  const types = events.map(({ type }) => type);
  expectThat("the life of the object", types.slice(0, 2).join() === "ADDED,DELETED", types);
  expectThat("a bookmark before the end", types.includes("BOOKMARK"), types);
  return types.join(" ");
}

async function watchExpired(ground: Ground): Promise<string> {
  const options = { signal: new AbortController().signal, silenceMs: 20_000 };
  const query = { resourceVersion: "1", timeoutSeconds: "10" };
  const end = await ground.api.watch("/api/v1/nodes", query, () => {}, options);
  expectThat("a version from before all history is expired", end.kind === "expired", end);
  return end.kind;
}

async function watchAborted(ground: Ground): Promise<string> {
  const stop = new AbortController();
  const options = { signal: stop.signal, silenceMs: 20_000 };
  const end = ground.api.watch(MAPS, {}, () => stop.abort(), options);
  const why = await end;
  expectThat("the first event's abort ends it", why.kind === "ended", why);
  return why.kind;
}

/**
 * The server restarts under the copy, the second time with its history gone. What others write in
 * between moves the server's version on without a word to this watch.
 */
async function reflect(ground: Ground): Promise<string> {
  const told: string[] = [];
  const said: string[] = [];
  const reflector = openReflector(ground, told, said);
  const { clock } = ground;
  const isHeld = (name: string) => reflector.get(name) !== undefined;
  reflector.start();
  await until("the first list", 10_000, clock, () => reflector.synced());
  await create(ground, "one", { of: "reflector" });
  await until("the event", 10_000, clock, () => isHeld("one"));
  await ground.ask("restart");
  await create(ground, "two", { of: "reflector" });
  await remove(ground, "one");
  await until("the same after a restart", 60_000, clock, () => isHeld("two") && !isHeld("one"));
  for (const name of ["other-1", "other-2", "other-3"]) await create(ground, name);
  await ground.ask("compact");
  await ground.ask("restart");
  await create(ground, "three", { of: "reflector" });
  await remove(ground, "two");
  await until("the same after a list", 60_000, clock, () => isHeld("three") && !isHeld("two"));
  reflector.stop();
  expectThat(
    "the version expired",
    said.some((why) => why.includes("expired")),
    said,
  );
  const wanted = "+one,+three,+two,-one,-two";
  expectThat("each change is told once", [...told].sort().join() === wanted, told);
  return told.join(" ");
}

function openReflector(ground: Ground, told: string[], said: string[]): Reflector<Identity> {
  return new Reflector<Identity>({
    api: ground.api,
    path: MAPS,
    query: { labelSelector: "of=reflector" },
    read,
    clock: ground.clock,
    random: () => 0.5,
    changed: (before, after) => {
      const name = (after ?? before)?.name;
      told.push(`${after === null ? "-" : before === null ? "+" : "~"}${name}`);
    },
    log: (_level, _msg, fields) => {
      said.push(String(fields?.["reason"] ?? ""));
    },
  });
}

async function manyOnFew(ground: Ground): Promise<string> {
  const path = `${MAPS}/item-1`;
  let most = 0;
  const startedMs = ground.clock.monoMs();
  const asked = Array.from({ length: 1_000 }, async () => {
    const answer = await call(ground.api, { verb: "get", path, lane: "read" });
    most = Math.max(most, sockets());
    return answer.kind;
  });
  const kinds = await Promise.all(asked);
  expectThat(
    "all are answered",
    kinds.every((kind) => kind === "ok"),
    new Set(kinds),
  );
  expectThat("64 connections at most", most <= 64, most);
  return `${most} connections, ${Math.round(ground.clock.monoMs() - startedMs)} ms`;
}

/** Connections of this process, and pipes to its parent that are sockets: an upper bound. */
function sockets(): number {
  return readdirSync("/proc/self/fd").filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith("socket:");
    } catch {
      return false; // Closed since.
    }
  }).length;
}

async function hang(ground: Ground): Promise<string> {
  await ground.ask("freeze");
  const path = `${MAPS}/item-1`;
  let tookMs = 0;
  // A signal takes effect a moment later on a busy machine, so some answers may still come.
  await until("a call is lost", 10_000, ground.clock, async () => {
    const startedMs = ground.clock.monoMs();
    const { kind } = await call(ground.api, { verb: "get", path, timeoutMs: 500 });
    tookMs = Math.round(ground.clock.monoMs() - startedMs);
    return kind === "lost";
  });
  await ground.ask("thaw");
  expectThat("a server that hangs is lost in time", tookMs < 2_000, tookMs);
  await succeed(ground.api, { verb: "get", path });
  return `${tookMs} ms`;
}

async function missing({ api }: Ground): Promise<string> {
  const { reason } = await refuse(api, 404, { verb: "get", path: `${MAPS}/nobody` });
  expectThat("the reason", reason === "NotFound", reason);
  return reason;
}

export const READS: readonly Case[] = [
  { name: "list in pages", run: listInPages },
  { name: "get what is not there", run: missing },
  { name: "watch: life, bookmark, end", run: watchLife },
  { name: "watch: abort", run: watchAborted },
  { name: "1,000 requests", run: manyOnFew },
  { name: "a server that hangs", run: hang },
  { name: "reflector across restart and compaction", run: reflect },
  { name: "watch: version expired", run: watchExpired },
];
