import { expect, test } from "bun:test";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi, WatchEnd } from "../api.ts";
import { Copies } from "./copies.ts";

const LIST = { items: [], metadata: { resourceVersion: "7" } };
const lost = (message: string): KubeAnswer => ({ kind: "lost", message });

/** An API server without objects, whose watches stay open and quiet. */
function open() {
  const clock = new VirtualClock();
  const calls: string[] = [];
  const state = { watches: 0, answer: null as KubeAnswer | null };
  const api: KubeApi = {
    async call({ path }) {
      calls.push(path);
      return state.answer ?? { kind: "ok", status: 200, body: LIST };
    },
    watch(_path, _query, _take, { signal, silenceMs }) {
      state.watches += 1;
      const { promise, resolve } = Promise.withResolvers<WatchEnd>();
      const end = (how: WatchEnd): void => {
        cancel();
        resolve(how);
      };
      const cancel = clock.after(silenceMs, () => end({ kind: "lost", message: "silent" }));
      signal.addEventListener("abort", () => end({ kind: "ended" }));
      return promise.finally(() => (state.watches -= 1));
    },
    close: () => undefined,
  };
  const copies = new Copies({ api, clock, random: () => 0.5, log: () => undefined });
  /** A read, while time passes. */
  const read = async (passMs = 20_000) => {
    const asked = copies.current("pods", "nodes");
    await clock.pass(passMs);
    return asked;
  };
  return { clock, calls, state, copies, read };
}

test("C1: the first read opens the copies, and five minutes without one close them", async () => {
  const { clock, calls, state, read } = open();
  await clock.pass(60_000);
  expect(calls).toEqual([]);
  expect(await read(100)).toBeNull();
  expect([calls, state.watches]).toEqual([["/api/v1/pods", "/api/v1/nodes"], 2]);
  await clock.pass(10 * 60_000);
  expect(state.watches).toBe(0);
  const before = calls.length;
  await clock.pass(60 * 60_000);
  expect(calls).toHaveLength(before);
  expect(await read(100)).toBeNull();
  expect(state.watches).toBe(2);
});

test("C1: a quiet copy is shown only while the server answers", async () => {
  const { clock, calls, state, read } = open();
  await read(100);
  await clock.pass(30_000);
  expect(await read(100)).toBeNull();
  expect(calls).toContain("/version");
  await clock.pass(10_000);
  state.answer = lost("no answer in 3000 ms");
  expect(await read(100)).toMatchObject({ kind: "failed", code: "cluster_slow" });
  state.answer = lost("connection refused");
  expect(await read(100)).toMatchObject({ kind: "failed", code: "cluster_unreachable" });
});

test("C1: a server that lists nothing is told with what it says", async () => {
  const { state, read } = open();
  state.answer = lost("connection refused");
  const why = await read();
  expect(why).toMatchObject({ kind: "failed", code: "cluster_unreachable" });
  expect(why?.message).toContain("pods: connection refused");
});

test("C1: closed copies answer nothing and hold no watch", async () => {
  const { clock, state, copies, read } = open();
  await read(100);
  copies.close();
  await clock.pass(1_000);
  expect(state.watches).toBe(0);
  expect(await read(100)).toMatchObject({ kind: "failed", code: "unavailable" });
});
