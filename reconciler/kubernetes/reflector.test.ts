import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest, WatchEnd, WatchEvent } from "./api.ts";
import { readIdentity, readObject } from "./read-field.ts";
import { Reflector } from "./reflector.ts";

type Thing = { name: string; uid: string; resourceVersion: string };
const json = (name: string, version: number, uid = `uid-${name}`) => ({
  metadata: { name, uid, resourceVersion: String(version) },
});

type Watch = {
  query: Readonly<Record<string, string>>;
  emit(type: WatchEvent["type"], object: unknown): void;
  end(end: WatchEnd): void;
  signal: AbortSignal;
  silenceMs: number;
};

/** An API whose answers the test gives; a list is answered at once. */
function open(random: () => number = () => 0) {
  const clock = new VirtualClock(undefined, 0);
  const run = (ms: number) => clock.pass(ms);
  const watches: Watch[] = [];
  const lists: { query: Readonly<Record<string, string>>; atMs: number }[] = [];
  let list: (request: KubeRequest) => KubeAnswer = () => page(1, []);
  const api: KubeApi = {
    async call(request) {
      lists.push({ query: request.query ?? {}, atMs: clock.monoMs() });
      return list(request);
    },
    watch(_path, query, take, { signal, silenceMs }) {
      const { promise, resolve } = Promise.withResolvers<WatchEnd>();
      signal.addEventListener("abort", () => resolve({ kind: "ended" }));
      const emit = (type: WatchEvent["type"], object: unknown) => take({ type, object });
      watches.push({ query, emit, end: resolve, signal, silenceMs });
      return promise;
    },
    close: () => {},
  };
  const changes: string[] = [];
  const logged: string[] = [];
  const reflector = new Reflector<Thing>({
    api,
    path: "/api/v1/nodes",
    query: { labelSelector: "a=b" },
    read: (value) => readIdentity(readObject(readObject(value)["metadata"])),
    clock,
    random,
    changed: (before, after) => {
      const key = (after ?? before)?.name;
      changes.push(`${key} ${before?.resourceVersion ?? "-"} ${after?.resourceVersion ?? "-"}`);
    },
    log: (level) => {
      logged.push(level);
    },
  });
  const watch = (): Watch => {
    const last = watches.at(-1);
    if (last === undefined) throw new Error("no watch yet");
    return last;
  };
  const answer = (next: (request: KubeRequest) => KubeAnswer) => {
    list = next;
  };
  const names = () => [...reflector.values()].map(({ name }) => name).sort();
  return { reflector, run, watch, watches, lists, answer, changes, names, logged, clock };
}

const page = (version: number, items: unknown[], more = ""): KubeAnswer => ({
  kind: "ok",
  status: 200,
  body: { metadata: { resourceVersion: String(version), continue: more }, items },
});
const refused = (status: number, retryAfterMs: number | null = null): KubeAnswer => ({
  kind: "refused",
  status,
  reason: "",
  message: "no",
  causes: [],
  retryAfterMs,
});

describe("Reflector", () => {
  test("start() lists in pages, then watches from there", async () => {
    const { reflector, run, watch, lists, answer, names, changes } = open(() => 0.5);
    expect([reflector.synced(), reflector.ageMs()]).toEqual([false, Number.POSITIVE_INFINITY]);
    answer(({ query }) =>
      query?.["continue"] === undefined
        ? page(90, [json("a", 10)], "more")
        : page(90, [json("b", 20), { broken: true }]),
    );
    reflector.start();
    reflector.start();
    await run(0);
    expect(lists.map(({ query }) => query)).toEqual([
      { labelSelector: "a=b", limit: "500" },
      { labelSelector: "a=b", limit: "500", continue: "more" },
    ]);
    expect([reflector.synced(), reflector.ageMs(), names()]).toEqual([true, 0, ["a", "b"]]);
    expect(watch().query).toEqual({
      labelSelector: "a=b",
      resourceVersion: "90",
      allowWatchBookmarks: "true",
      timeoutSeconds: "265",
    });
    watch().emit("ADDED", json("c", 91));
    watch().emit("MODIFIED", json("a", 92));
    watch().emit("DELETED", json("b", 93));
    expect(names()).toEqual(["a", "c"]);
    expect(changes).toEqual(["a - 10", "b - 20", "c - 91", "a 10 92", "b 20 -"]);
    expect(reflector.version).toBe(5);
  });

  test("goes on from its last event or bookmark when the watch ends, without a list", async () => {
    const { reflector, run, watch, watches, lists } = open();
    reflector.start();
    await run(1_000);
    watch().emit("BOOKMARK", json("", 500));
    watch().end({ kind: "ended" });
    await run(0);
    expect(watches).toHaveLength(2);
    expect(watch().query["resourceVersion"]).toBe("500");
    watch().end({ kind: "lost", message: "cut" });
    await run(2_000);
    expect([watches.length, lists.length]).toEqual([3, 1]);
    expect(watch().query["resourceVersion"]).toBe("500");
  });

  test("ageMs() grows in a gap while what is held stays", async () => {
    const { reflector, run, watch, names, answer } = open();
    answer(() => page(5, [json("a", 4)]));
    reflector.start();
    await run(30_000);
    expect(reflector.ageMs()).toBe(30_000);
    watch().emit("BOOKMARK", json("", 9));
    expect(reflector.ageMs()).toBe(0);
    watch().end({ kind: "lost", message: "cut" });
    answer(() => refused(503));
    await run(120_000);
    expect([reflector.ageMs(), names(), reflector.synced()]).toEqual([120_000, ["a"], true]);
  });

  test("lists again after 410, and tells what vanished meanwhile", async () => {
    const { reflector, run, watch, lists, answer, changes, names } = open(() => 0.5);
    answer(() => page(5, [json("a", 4), json("b", 5)]));
    reflector.start();
    await run(1_000);
    changes.length = 0;
    answer(() => page(50, [json("b", 5), json("c", 40)]));
    watch().end({ kind: "expired" });
    await run(1_200);
    expect(lists).toHaveLength(1);
    await run(100);
    expect(lists).toHaveLength(2);
    expect(changes).toEqual(["a 4 -", "c - 40"]);
    expect(names()).toEqual(["b", "c"]);
    expect(watch().query["resourceVersion"]).toBe("50");
  });

  test("never spins, whatever comes back", async () => {
    const ends: WatchEnd[] = [
      { kind: "expired" },
      { kind: "ended" },
      { kind: "lost", message: "x" },
      { kind: "refused", status: 403, message: "x", retryAfterMs: null },
      { kind: "refused", status: 503, message: "x", retryAfterMs: 0 },
    ];
    for (const end of ends) {
      for (const isEventFirst of [false, true]) {
        const { reflector, run, watch, watches, lists } = open();
        reflector.start();
        for (let step = 0; step < 60_000 / 50; step += 1) {
          await run(50);
          const last = watch();
          if (isEventFirst) last.emit("MODIFIED", json("a", step + 2));
          last.end(end);
        }
        // A minute of a server that fails at once, in the worst case after one event each.
        const most = isEventFirst ? 250 : 30;
        expect(lists.length + watches.length).toBeLessThanOrEqual(most);
        expect(watches.length).toBeGreaterThan(3);
        reflector.stop();
      }
    }
  });

  test("a list that fails is tried with growing pauses, spread, and as the server desired", async () => {
    const { reflector, run, lists, answer, logged } = open(() => 0.5);
    answer(() => refused(500));
    reflector.start();
    await run(59_000);
    const gaps = lists.slice(1).map(({ atMs }, index) => atMs - (lists[index]?.atMs ?? 0));
    expect(gaps).toEqual([1_000, 2_000, 4_000, ...Array.from({ length: 6 }, () => 8_000)]);
    expect(logged.filter((level) => level === "warn")).toHaveLength(1);
    const before = lists.length;
    answer(() => refused(429, 40_000));
    await run(8_000);
    expect(lists).toHaveLength(before + 1);
    await run(32_000);
    expect(lists).toHaveLength(before + 1);
    await run(10_000);
    expect(lists).toHaveLength(before + 2);
    reflector.stop();
  });

  test("says once that it fails and once that it works again", async () => {
    const { reflector, run, watch, logged, answer } = open();
    reflector.start();
    await run(0);
    answer(() => refused(503));
    watch().end({ kind: "expired" });
    await run(60_000);
    answer(() => page(80, []));
    await run(15_000);
    watch().emit("BOOKMARK", json("", 81));
    watch().emit("BOOKMARK", json("", 82));
    expect(logged.filter((level) => level !== "debug")).toEqual(["warn", "info"]);
  });

  test("lists when a version stays useless, for the server may be a restored one", async () => {
    const { reflector, run, watch, lists } = open();
    reflector.start();
    await run(0);
    for (let times = 0; times < 4; times += 1) {
      expect(lists).toHaveLength(1);
      const message = "HTTP 504 Timeout: too large resource version";
      watch().end({ kind: "refused", status: 504, message, retryAfterMs: null });
      await run(15_000);
    }
    expect(lists).toHaveLength(2);
  });

  test("stop() ends the watch and every timer; start() lists again", async () => {
    const { reflector, run, watch, watches, lists, answer, clock, names, changes } = open();
    reflector.start();
    await run(0);
    const first = watch();
    first.emit("ADDED", json("a", 7));
    reflector.stop();
    await run(0);
    expect([first.signal.aborted, clock.nextMs(), names()]).toEqual([true, null, ["a"]]);
    first.emit("ADDED", json("late", 8));
    expect(changes).toHaveLength(1);
    // It looked away: only a list says whether what it holds is whole.
    answer(() => page(9, []));
    reflector.start();
    await run(0);
    expect([watches.length, watch().query["resourceVersion"]]).toEqual([2, "9"]);
    expect([lists.length, names()]).toEqual([2, []]);
    watch().end({ kind: "lost", message: "cut" });
    await run(10);
    expect(clock.nextMs()).not.toBeNull();
    reflector.stop();
    await run(0);
    expect(clock.nextMs()).toBeNull();
  });

  test("a list on its way when it is stopped does not touch what the next one brings", async () => {
    const { reflector, run, answer, names } = open();
    let asked = 0;
    answer(() => {
      asked += 1;
      return page(asked === 1 ? 5 : 9, [json(asked === 1 ? "old" : "new", 4)]);
    });
    reflector.start();
    reflector.stop();
    reflector.start();
    await run(0);
    expect(names()).toEqual(["new"]);
    reflector.stop();
  });

  test("ingest() acts at once", async () => {
    const { reflector, run, answer } = open();
    answer(() => page(5, [json("a", 4)]));
    reflector.start();
    await run(0);
    reflector.ingest({ name: "a", uid: "uid-a", resourceVersion: "9" });
    expect([reflector.get("a")?.resourceVersion, reflector.version]).toEqual(["9", 2]);
    reflector.stop();
  });

  test("stays young through watches that break before they bring anything", async () => {
    const { reflector, run, watch, lists } = open(() => 0.5);
    reflector.start();
    await run(0);
    let oldest = 0;
    for (let seconds = 0; seconds < 300; seconds += 4) {
      await run(4_000);
      oldest = Math.max(oldest, reflector.ageMs());
      watch().end({ kind: "lost", message: "cut" });
    }
    // Blindness begins at 30 s of trouble.
    expect(oldest).toBeLessThan(25_000);
    expect(lists.length).toBeLessThan(40);
    reflector.stop();
  });

  test("asks for a list after a watch that brought nothing for long", async () => {
    const { reflector, run, answer, names, watch } = open();
    answer(() => page(5, [json("a", 4)]));
    reflector.start();
    await run(0);
    await run(75_000);
    answer(() => page(9, [json("b", 8)]));
    watch().end({ kind: "lost", message: "silent" });
    await run(3_000);
    expect(names()).toEqual(["b"]);
    expect(reflector.ageMs()).toBeLessThan(3_000);
    reflector.stop();
  });

  test("watches with a silence longer than a bookmark takes, and asks for under 5 min", async () => {
    const { reflector, run, watch } = open(() => 0.999);
    reflector.start();
    await run(0);
    expect(watch().silenceMs).toBe(75_000);
    expect(Number(watch().query["timeoutSeconds"])).toBeWithin(240, 291);
    reflector.stop();
  });
});
