import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { VirtualNode } from "../../../reconciler/provider/kwok/virtual-node.ts";
import { readNodeList } from "./entry.ts";
import { ENTRY_ANNOTATION, nodeName } from "./name.ts";
import { planNodes } from "./plan.ts";
import { readSetNode, type SetNode } from "./read.ts";

type Entry = { type: string; count: number; labels: Record<string, string>; taint: boolean };

const entry = fc.record({
  type: fc.constantFrom("dgxh100.80g", "dgxa100.40g", "plain"),
  count: fc.nat({ max: 5 }),
  labels: fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom("1", "2"), { maxKeys: 2 }),
  taint: fc.boolean(),
});
const list = fc.array(entry, { maxLength: 4 });

const read = (entries: unknown) => readNodeList(entries, "nodes", false).entries;

let made = 0;
/** A created node as the server gives it back. */
function created(node: VirtualNode): SetNode {
  made += 1;
  const texts = (map: Readonly<Record<string, string | number>>) =>
    Object.fromEntries(Object.entries(map).map(([key, value]) => [key, String(value)]));
  const { metadata, spec, status } = node;
  const found = readSetNode({
    metadata: { ...metadata, uid: `u${made}`, resourceVersion: "1" },
    spec,
    status: {
      ...status,
      capacity: texts(status.capacity),
      allocatable: texts(status.allocatable),
    },
  });
  if (found === null) throw new Error("no Node");
  return found;
}

/** What the set is after the plan, with the patches applied to what they name. */
function after(live: readonly SetNode[], entries: readonly Entry[]): SetNode[] {
  const plan = planNodes(read(entries), live);
  const gone = new Set(plan.remove.map(({ name }) => name));
  const kept = live
    .filter(({ name }) => !gone.has(name))
    .map((node) => {
      const patch = plan.patch.find(({ name }) => name === node.name)?.node ?? null;
      if (patch === null) return node;
      const merged = (own: Record<string, string>, given: unknown) => {
        const pairs = Object.entries({ ...own, ...(given as object | undefined) });
        return Object.fromEntries(pairs.filter(([, value]) => value !== null));
      };
      const spec = (patch.spec ?? {}) as { taints?: object[] };
      const { labels, annotations } = patch.metadata;
      return created({
        metadata: {
          name: node.name,
          labels: merged(node.labels, labels),
          annotations: merged(node.annotations, annotations),
        },
        spec: { taints: spec.taints ?? node.taints },
        status: { capacity: node.capacity, allocatable: node.allocatable, conditions: [] },
      } as unknown as VirtualNode);
    });
  return [...kept, ...plan.create.map(created)];
}

/** Type and labels of each node, without names. */
const shapes = (nodes: readonly SetNode[]): string[] =>
  nodes
    .map(({ stored, labels, taints }) => {
      return JSON.stringify([stored?.type, labels["a"], labels["b"], taints.length]);
    })
    .sort();
const wanted = (entries: readonly Entry[]): string[] =>
  entries
    .flatMap(({ type, count, labels, taint }) =>
      Array.from({ length: count }, () =>
        JSON.stringify([type, labels["a"], labels["b"], taint ? 1 : 0]),
      ),
    )
    .sort();

describe("planNodes()", () => {
  test("W39: any list follows any other, and a second run changes nothing", () => {
    fc.assert(
      fc.property(list, list, (first, second) => {
        const one = after([], first);
        expect(shapes(one)).toEqual(wanted(first));
        const two = after(one, second);
        expect(shapes(two)).toEqual(wanted(second));
        expect(new Set(two.map(({ name }) => name)).size).toBe(two.length);
        const { create, patch, remove } = planNodes(read(second), two);
        expect([create, patch, remove]).toEqual([[], [], []]);
      }),
    );
  });

  test("W40: in any order of the entries, nodes of the same entry keep their names", () => {
    fc.assert(
      fc.property(
        list.chain((one) => fc.tuple(fc.constant(one), fc.shuffledSubarray(one))),
        (pair) => {
          const [first, second] = pair;
          const live = after([], first);
          const { create, patch, remove, kept } = planNodes(read(second), live);
          expect([create, patch]).toEqual([[], []]);
          expect(kept.length + remove.length).toBe(live.length);
        },
      ),
    );
  });

  test("W39: a node that is being deleted is no node of the set, and its name is not used", () => {
    const entries = [{ type: "plain", count: 1, labels: {}, taint: false }];
    const [node] = after([], entries);
    if (node === undefined) throw new Error("no node");
    const { create, kept } = planNodes(read(entries), [{ ...node, isLeaving: true }]);
    expect(kept).toEqual([]);
    expect(create.map(({ metadata }) => metadata.name)).toEqual([nodeName("plain", 0, 1)]);
  });

  test("W39: a node without a readable entry is taken, and gets one", () => {
    const entries = [{ type: "plain", count: 1, labels: { a: "1" }, taint: false }];
    const [node] = after([], entries);
    if (node === undefined) throw new Error("no node");
    const bare = { ...node, stored: null, annotations: { [ENTRY_ANNOTATION]: "{" } };
    const { create, patch, remove } = planNodes(read(entries), [bare]);
    expect([create, remove, patch.length]).toEqual([[], [], 1]);
  });

  test("W39: of the nodes that may become another entry's, cordoned ones come last", () => {
    const entries = [{ type: "plain", count: 3, labels: { a: "1" }, taint: false }];
    const live = after([], entries).map((node, at) => ({ ...node, isCordoned: at < 2 }));
    const { kept } = planNodes(read([{ ...entries[0], count: 1, labels: { b: "1" } }]), live);
    expect(kept.map(({ isCordoned }) => isCordoned)).toEqual([false]);
  });
});

test("W38: nodeName() never gives one name twice", () => {
  const names = new Set<string>();
  for (let index = 0; index < 20; index += 1) {
    for (let ordinal = 0; ordinal < 2_000; ordinal += 1) names.add(nodeName("a", index, ordinal));
  }
  expect(names.size).toBe(40_000);
  expect([...names].every((name) => /^virtual-a-[a-z0-9]{6}$/.test(name))).toBe(true);
});
