import { expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { findNode } from "./find-node.ts";

const DAY_MS = 86_400_000;
const NOW = 10 * DAY_MS;

type Shape = {
  id: string;
  gone?: number;
  hostname?: string;
  instance?: string;
  kube?: { name: string; absentSince?: number; former?: { name: string; at: number }[] };
};

function fleetOf(...shapes: Shape[]): Map<NodeId, Node> {
  return new Map(
    shapes.map(({ id, gone, hostname, instance, kube }) => {
      const node = {
        id,
        phase: gone === undefined ? { kind: "serving", since: 1 } : { kind: "gone", since: gone },
        instance: instance === undefined ? null : { id: instance },
        agent: hostname === undefined ? null : { inventory: { hostname } },
        kube: kube === undefined ? null : { absentSince: null, ...kube },
      };
      return [id as NodeId, node as unknown as Node];
    }),
  );
}

const look = (fleet: Map<NodeId, Node>, name: string): unknown => {
  const found = findNode(fleet, name, { now: NOW });
  return found !== null && "id" in found ? found.id : found;
};
const order = (fleet: Map<NodeId, Node>, name: string): unknown => {
  const found = findNode(fleet, name);
  return found !== null && "id" in found ? found.id : found;
};

test("a node is found by id, instance, host name and the name of its Node", () => {
  const fleet = fleetOf({ id: "p-1", instance: "i-1", hostname: "h-1", kube: { name: "gpu-1" } });
  for (const name of ["p-1", "i-1", "h-1", "gpu-1"]) expect(look(fleet, name)).toBe("p-1");
  expect(look(fleet, "gpu-2")).toBeNull();
});

test("a machine that is gone is found by its Node's name, while that is there and after", () => {
  const there = fleetOf({ id: "p-1", gone: 5, kube: { name: "gpu-1" } });
  expect([look(there, "gpu-1"), order(there, "gpu-1")]).toEqual(["p-1", "p-1"]);
  const after = fleetOf({ id: "p-1", gone: 5, kube: { name: "gpu-1", absentSince: 7 } });
  expect(look(after, "gpu-1")).toBe("p-1");
});

test("whoever bears the name now comes before those that are gone", () => {
  const fleet = fleetOf(
    { id: "p-1", gone: 5, hostname: "gpu-1", kube: { name: "gpu-1" } },
    { id: "p-2", hostname: "gpu-1", kube: { name: "gpu-1" } },
    { id: "p-3", gone: 9, kube: { name: "gpu-1", absentSince: 8 } },
  );
  expect([look(fleet, "gpu-1"), order(fleet, "gpu-1")]).toEqual(["p-2", "p-2"]);
});

test("of several that are gone it is the one whose object is there, then the last one", () => {
  const old = { id: "p-1", gone: 5, kube: { name: "gpu-1" } };
  const last = { id: "p-2", gone: 9, kube: { name: "gpu-1", absentSince: 8 } };
  expect(look(fleetOf(last, old), "gpu-1")).toBe("p-1");
  const absent = { ...old, kube: { name: "gpu-1", absentSince: 6 } };
  expect(look(fleetOf(absent, last), "gpu-1")).toBe("p-2");
});

test("a host name hides nobody whom the cloud or the cluster calls so", () => {
  const one = { id: "p-1", instance: "i-1", hostname: "h-1", kube: { name: "gpu-1" } };
  const fleet = fleetOf(one, { id: "x-1", hostname: "i-1" }, { id: "x-2", hostname: "gpu-1" });
  for (const name of ["i-1", "gpu-1"]) {
    expect([look(fleet, name), order(fleet, name)]).toEqual(["p-1", "p-1"]);
  }
});

test("two that live under one name are told apart by nobody", () => {
  const fleet = fleetOf({ id: "p-1", hostname: "h" }, { id: "p-2", hostname: "h" });
  expect(look(fleet, "h")).toEqual({ ambiguous: ["p-1", "p-2"] });
});

test("a name that the machine had is good for a day, for looking, and never for an order", () => {
  const kube = (at: number) => ({ name: "new", former: [{ name: "old", at }] });
  const fresh = fleetOf({ id: "p-1", kube: kube(NOW - DAY_MS + 1) });
  expect([look(fresh, "old"), order(fresh, "old")]).toEqual(["p-1", null]);
  expect(look(fleetOf({ id: "p-1", kube: kube(NOW - DAY_MS) }), "old")).toBeNull();
  const taken = fleetOf({ id: "p-1", kube: kube(NOW) }, { id: "p-2", kube: { name: "old" } });
  expect(look(taken, "old")).toBe("p-2");
});
