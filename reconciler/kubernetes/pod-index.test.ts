import { expect, test } from "bun:test";
import type { KubePod } from "../core/kubernetes/object.ts";
import { PodIndex } from "./pod-index.ts";

const pod = (uid: string, node: string): KubePod => ({ uid, node, name: uid }) as KubePod;
const on = (index: PodIndex, node: string): string[] => [...index.on(node).keys()].sort();

test("PodIndex follows a pod from nowhere to a node, over its changes, until it is gone", () => {
  const index = new PodIndex();
  index.note(null, pod("a", ""));
  expect(on(index, "")).toEqual([]);
  index.note(pod("a", ""), pod("a", "n1"));
  index.note(null, pod("b", "n1"));
  expect(on(index, "n1")).toEqual(["a", "b"]);
  index.note(pod("a", "n1"), pod("a", "n1"));
  expect(on(index, "n1")).toEqual(["a", "b"]);
  index.note(pod("a", "n1"), null);
  expect(on(index, "n1")).toEqual(["b"]);
});

test("PodIndex takes another pod under the same name for another pod", () => {
  const index = new PodIndex();
  index.note(null, pod("a", "n1"));
  index.note(pod("a", "n1"), pod("a2", "n2"));
  expect(on(index, "n1")).toEqual([]);
  expect(on(index, "n2")).toEqual(["a2"]);
});
