import { describe, expect, test } from "bun:test";
import type { InstanceId, NodeId } from "../../../schema/id.ts";
import { instanceOf, nodeOf, slurmOf, unboughtOf } from "../../../test/world/part.ts";
import type { OwnedHost } from "../../../schema/claim.ts";
import { claimNames, type SlurmNames } from "./match.ts";
import { slotNames } from "./slot-name.ts";

const NONE: SlurmNames = { aliases: {}, slots: new Map() };
const slots = (...names: string[]): SlurmNames => ({ aliases: {}, slots: new Map([["p", names]]) });
const id = (text: string): NodeId => text as NodeId;
const listed = new Set(["n0", "n1", "n2"]);
const hosted = (name: string, host: string, over = {}) =>
  nodeOf(name, {
    slot: null,
    instance: instanceOf({ host: { name: host } as OwnedHost }),
    ...over,
  });

function claimed(nodes: Parameters<typeof claimNames>[0], names: SlurmNames, shown = listed) {
  const { claims, ambiguous } = claimNames(nodes, names, shown);
  return {
    claims: Object.fromEntries([...claims].map(([node, { name, by }]) => [node, `${name} ${by}`])),
    ambiguous: [...ambiguous.keys()].sort(),
  };
}

describe("S19: a NodeName is matched with a node", () => {
  test("S19: by its alias before its slot, its slot before its id", () => {
    const names = { ...slots("n0", "n1"), aliases: { n2: "a" } };
    const nodes = [nodeOf("a", { slot: 0 }), nodeOf("n0", { slot: 1 })];
    expect(claimed(nodes, names).claims).toEqual({ a: "n2 alias", n0: "n1 slot" });
  });

  test("S19: an alias names an owned host or an instance, too", () => {
    const names = { ...NONE, aliases: { n0: "rack-7", n1: "i-9" } };
    const cloud = nodeOf("c", { slot: 3, instance: instanceOf({ id: "i-9" as InstanceId }) });
    expect(claimed([hosted("h", "rack-7"), cloud], names).claims).toEqual({
      h: "n0 alias",
      c: "n1 alias",
    });
  });

  test("S19: by the name of an owned host, then by the id of an unmanaged machine", () => {
    const nodes = [hosted("x", "n1"), unboughtOf("n2"), unboughtOf("elsewhere")];
    expect(claimed(nodes, NONE).claims).toEqual({ x: "n1 host", n2: "n2 id" });
  });

  test("S19: never by a host name that an agent reports", () => {
    const node = unboughtOf("other");
    if (node.agent !== null) node.agent.inventory.hostname = "n1";
    expect(claimed([node], NONE)).toEqual({ claims: {}, ambiguous: [] });
  });

  test("S35: a replacement has the name once the machine before it is gone", () => {
    const before = nodeOf("a", { gen: 1 });
    const after = nodeOf("b", { gen: 2 });
    expect(claimed([after, before], slots("n0")).claims).toEqual({ a: "n0 slot" });
    const gone = { ...before, phase: { kind: "gone", since: 1, purpose: "replace" } } as const;
    expect(claimed([after, gone], slots("n0")).claims).toEqual({ b: "n0 slot" });
  });

  test("S19: a name that the configuration gives to a place is of no other", () => {
    const names = { ...slots("n0"), aliases: { n1: "absent" } };
    expect(claimed([unboughtOf("n0"), unboughtOf("n1")], names).claims).toEqual({});
  });

  test("S19: two claims on one name are in doubt, and so are two names of one node", () => {
    const twice = [hosted("x", "n1"), hosted("y", "n1")];
    expect(claimed(twice, NONE)).toEqual({ claims: {}, ambiguous: [id("x"), id("y")] });
    const both = { ...NONE, aliases: { n0: "a", n1: "a" } };
    expect(claimed([nodeOf("a")], both)).toEqual({ claims: {}, ambiguous: [id("a")] });
    const pools = {
      ...NONE,
      slots: new Map([
        ["p", ["n0"]],
        ["q", ["n0"]],
      ]),
    };
    const nodes = [nodeOf("a"), nodeOf("b", { pool: "q" as never })];
    expect(claimed(nodes, pools).ambiguous).toEqual([id("a"), id("b")]);
  });

  test("S19: a pool's hostlist gives its names by slot", () => {
    const pool = (nodes: string | null) =>
      slotNames([{ name: "p" as never, slurm: { partition: null, powerSave: false, nodes } }]).get(
        "p",
      );
    expect(pool("n[08-10],x")).toEqual(["n08", "n09", "n10", "x"]);
    expect(pool(null)).toBeUndefined();
  });

  test("S19: a name of the configuration counts although Slurm does not list it", () => {
    expect(claimed([nodeOf("a")], slots("c0")).claims).toEqual({ a: "c0 slot" });
  });

  describe("S19: slurm.nodes that is reordered or shortened while machines live", () => {
    const bound = (name: string, slot: number, to: string, over = {}) =>
      nodeOf(name, { slot, slurm: slurmOf({ name: to, by: "slot" }), ...over });

    test("S19: binds no live node to another name, and gives no name away", () => {
      const nodes = [bound("a", 0, "n0"), bound("b", 1, "n1"), bound("c", 2, "n2")];
      const swapped = claimed(nodes, slots("n1", "n0", "n2"));
      expect(swapped).toEqual({ claims: { c: "n2 slot" }, ambiguous: [id("a"), id("b")] });
      const shorter = claimed(nodes, slots("n0", "n2"));
      expect(shorter).toEqual({ claims: { a: "n0 slot" }, ambiguous: [id("b"), id("c")] });
      expect(claimed(nodes, NONE)).toEqual({ claims: {}, ambiguous: [id("a"), id("b"), id("c")] });
      expect(claimed(nodes, slots("n0", "n1", "n2", "n3")).ambiguous).toEqual([]);
    });

    test("S19: a new machine waits for a name that a live one has", () => {
      const gone = { phase: { kind: "gone", since: 1, purpose: "replace" } } as const;
      const nodes = [bound("a", 0, "n0", gone), nodeOf("d", { slot: 0 }), bound("b", 1, "n1")];
      expect(claimed(nodes, slots("n1", "n0"))).toEqual({
        claims: {},
        ambiguous: [id("b"), id("d")],
      });
      const over = [bound("a", 0, "n0", gone), nodeOf("d", { slot: 0 }), bound("b", 1, "n1", gone)];
      expect(claimed(over, slots("n1", "n0")).claims).toEqual({ d: "n1 slot" });
    });

    test("S19: an alias moves a name on purpose", () => {
      const names = { ...slots("n1"), aliases: { n2: "a" } };
      expect(claimed([bound("a", 0, "n0")], names).claims).toEqual({ a: "n2 alias" });
    });
  });
});
