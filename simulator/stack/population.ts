/**
 * Maps the machines of a run: the scenario's names and the control plane's ids. A listed node keeps
 * its name for both. Its replacement is called `<base>-gen<N>`; a purchase for a slot that is not
 * listed is called `<pool>-<slot>`, and its successors accordingly.
 */
import type { Instance } from "../../reconciler/core/provider.ts";
import type { InstanceId, NodeId } from "../../schema/id.ts";
import { Machine, type MachineWorld } from "../machine/machine.ts";
import type { SimNode } from "../scenario/scenario.ts";

/** One occupant of a place: a listed node, or what was bought after it. */
export type Member = {
  name: string;
  base: string;
  generation: number;
  nodeId: NodeId;
  node: SimNode;
  instanceId: InstanceId;
  machine: Machine;
  /** False once the cloud ended its instance. */
  live: boolean;
  coldStartMs: number;
  startedMono: number | null;
};

type Place = { base: string; node: SimNode; generation: number };

export class Population {
  readonly #world: MachineWorld;
  /** `<pool>/<slot>` → the occupant that it belongs to. */
  readonly #places = new Map<string, Place>();
  readonly #byNodeId = new Map<NodeId, Member>();
  readonly #byInstance = new Map<InstanceId, Member>();
  readonly #byName = new Map<string, Member>();
  #ordinal = 0;

  constructor(world: MachineWorld) {
    this.#world = world;
  }

  all(): Iterable<Member> {
    return this.#byNodeId.values();
  }

  find(name: string): Member | null {
    return this.#byName.get(name) ?? null;
  }

  byNodeId(id: string): Member | null {
    return this.#byNodeId.get(id as NodeId) ?? null;
  }

  byInstance(id: InstanceId): Member | null {
    return this.#byInstance.get(id) ?? null;
  }

  /** The report's name of a node. */
  nameOf(nodeId: string): string {
    return this.byNodeId(nodeId)?.name ?? nodeId;
  }

  /** A node of the scenario whose instance exists. */
  addListed(node: SimNode, place: string, instanceId: InstanceId, coldStartMs: number): Member {
    this.#places.set(place, { base: node.id, node, generation: 0 });
    return this.#add(node.id, node.id, 0, node.id as NodeId, node, instanceId, coldStartMs);
  }

  /** A bought machine, for the slot that its tags name. */
  addBought(
    provider: string,
    instance: Instance,
    shape: SimNode,
    coldStartMs: number,
  ): Member | null {
    const { tags } = instance;
    const nodeId = tags["navarch-node"];
    const pool = tags["navarch-pool"] ?? "";
    if (nodeId === undefined || this.byNodeId(nodeId) !== null) return this.byNodeId(nodeId ?? "");
    const key = `${pool}/${tags["navarch-slot"] ?? ""}`;
    const before = this.#places.get(key);
    const base = before?.base ?? key.replace("/", "-");
    const generation = before === undefined ? 0 : before.generation + 1;
    const name = generation === 0 ? base : `${base}-gen${generation}`;
    const like = before?.node ?? shape;
    const node: SimNode = {
      ...like,
      id: name,
      provider,
      region: instance.region ?? like.region,
      zone: instance.zone ?? like.zone,
      instanceType: instance.instanceType,
      pool,
    };
    this.#places.set(key, { base, node, generation });
    return this.#add(name, base, generation, nodeId as NodeId, node, instance.id, coldStartMs);
  }

  #add(
    name: string,
    base: string,
    generation: number,
    nodeId: NodeId,
    node: SimNode,
    instanceId: InstanceId,
    coldStartMs: number,
  ): Member {
    const identity = { name, nodeId, instanceId, node, ordinal: ++this.#ordinal };
    const member: Member = {
      name,
      base,
      generation,
      nodeId,
      node,
      instanceId,
      machine: new Machine(identity, this.#world),
      live: true,
      coldStartMs,
      startedMono: null,
    };
    this.#byNodeId.set(nodeId, member);
    this.#byInstance.set(instanceId, member);
    this.#byName.set(name, member);
    return member;
  }
}
