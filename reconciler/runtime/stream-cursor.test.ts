import { expect, test } from "bun:test";
import type { NodeId, StreamId } from "../../schema/id.ts";
import { StreamCursors } from "./stream-cursor.ts";

const node = (name: string): NodeId => name as NodeId;
const stream = (name: string): StreamId => name as StreamId;

test("set() keeps the streams of a node that were written last, and all of others", () => {
  const cursors = new StreamCursors();
  cursors.set({ node: node("quiet"), stream: stream("s"), seq: 7 });
  for (let i = 0; i < 1_000; i++) {
    cursors.set({ node: node("noisy"), stream: stream(`s-${i}`), seq: 1 });
    cursors.set({ node: node("noisy"), stream: stream("own"), seq: i });
  }
  expect(cursors.get(node("noisy"), stream("own"))).toBe(999);
  expect(cursors.get(node("noisy"), stream("s-998"))).toBe(1);
  expect(cursors.get(node("noisy"), stream("s-1"))).toBe(0);
  expect(cursors.get(node("quiet"), stream("s"))).toBe(7);
  expect(cursors.size).toBe(33);
});
