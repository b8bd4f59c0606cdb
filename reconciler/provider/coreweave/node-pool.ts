/**
 * A purchase as a NodePool of one Node, and what the API server shows of it as an instance
 * (docs/reference/coreweave.md). Pure.
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import { InstantText, parseInstant } from "../../../schema/instant.ts";
import type { CreateRequest, Instance } from "../../core/provider.ts";

/** Not `navarch.dev/fleet`, which each Node of the fleet has, bought or not. */
export const FLEET_LABEL = "navarch.dev/bought-by";
const TAGS = "navarch.dev/tags";
const PLACE = "navarch.dev/place";
/** Set by CoreWeave on each Node (kubernetes/autoscaler, cloudprovider/coreweave). */
const POOL_NAME = "compute.coreweave.com/node-pool";
export const POOL_UID = "compute.coreweave.com/node-pool-uid";
const SHOWN_CHARS = 300;

const text = v.string();
const texts = v.nullish(v.record(text, text), {});
const Metadata = v.object({
  name: text,
  uid: text,
  creationTimestamp: InstantText,
  deletionTimestamp: v.nullish(text, null),
  labels: texts,
  annotations: texts,
});
const Condition = v.object({
  type: text,
  status: v.nullish(text, ""),
  reason: v.nullish(text, ""),
  message: v.nullish(text, ""),
});
export const NodePool = v.object({
  metadata: Metadata,
  spec: v.object({ instanceType: text, computeClass: v.nullish(text, "default") }),
  status: v.nullish(v.object({ conditions: v.nullish(v.array(Condition), []) }), null),
});
export type NodePool = v.InferOutput<typeof NodePool>;

const Address = v.object({ type: text, address: text });
export const PoolNode = v.object({
  metadata: Metadata,
  status: v.nullish(v.object({ addresses: v.nullish(v.array(Address), []) }), null),
});
export type PoolNode = v.InferOutput<typeof PoolNode>;

export const PoolEvent = v.object({
  reason: v.nullish(text, ""),
  message: v.nullish(text, ""),
  lastTimestamp: v.nullish(text, ""),
  /** In place of the other, by newer recorders. */
  eventTime: v.nullish(text, ""),
  involvedObject: v.object({ uid: v.nullish(text, "") }),
});
export type PoolEvent = v.InferOutput<typeof PoolEvent>;

/** A label's value; what does not fit is replaced by its digest. */
export function labelValue(value: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value)) return value;
  return createHash("sha256").update(value).digest("hex").slice(0, 40);
}

/** The body of a purchase. `PreferIdle`: a Node in use does not outlive its pool. */
export function nodePoolOf(request: CreateRequest): object {
  const { name, instanceType, market, region, zone, tags } = request;
  const labels = { [FLEET_LABEL]: labelValue(tags["navarch-fleet"] ?? "") };
  const annotations = {
    [TAGS]: JSON.stringify(tags),
    [PLACE]: JSON.stringify({ region, zone }),
  };
  return {
    apiVersion: "compute.coreweave.com/v1alpha1",
    kind: "NodePool",
    metadata: { name, labels, annotations },
    spec: {
      instanceType,
      targetNodes: 1,
      autoscaling: false,
      computeClass: market === "spot" ? "spot" : "default",
      lifecycle: { scaleDownStrategy: "PreferIdle" },
      // A Node that is left without its pool is still recognised, and billed.
      nodeLabels: labels,
      nodeAnnotations: annotations,
    },
  };
}

/** The name is needed for each call, and the UID makes it one object's for ever. */
export const idOf = (name: string, uid: string): InstanceId =>
  v.parse(InstanceId, `nodepool/${name}/${uid}`);

export function partsOf(id: InstanceId): { name: string; uid: string } | null {
  const [kind, name, uid, ...more] = id.split("/");
  if (kind !== "nodepool" || name === undefined || uid === undefined) return null;
  return more.length > 0 || name === "" || uid === "" ? null : { name, uid };
}

/** Selects the Nodes of a pool. */
export const nodesOf = ({ metadata }: NodePool): string => `${POOL_UID}=${metadata.uid}`;

/** Whether the object is the one of this purchase. */
export function isOf({ metadata, spec }: NodePool, request: CreateRequest): boolean {
  const tags = tagsOf(metadata);
  const same = (key: string) => tags[key] === request.tags[key];
  const isSame = same("navarch-fleet") && same("navarch-node");
  return isSame && spec.instanceType === request.instanceType;
}

/**
 * Every instance of the fleet: its pools with their Nodes, and Nodes whose pool is gone. `events`
 * are those of pools without a Node.
 */
export function instancesOf(
  pools: readonly NodePool[],
  nodes: readonly PoolNode[],
  events: readonly PoolEvent[],
): Instance[] {
  const byPool = new Map(nodes.map((node) => [node.metadata.labels[POOL_UID] ?? "", node]));
  const known = new Set(pools.map(({ metadata }) => metadata.uid));
  const left = nodes.filter(({ metadata }) => !known.has(metadata.labels[POOL_UID] ?? ""));
  return [
    ...pools.map((pool) => instanceOf(pool, byPool.get(pool.metadata.uid) ?? null, events)),
    ...left.flatMap(leftOver),
  ];
}

export function instanceOf(
  { metadata, spec, status }: NodePool,
  node: PoolNode | null,
  events: readonly PoolEvent[],
): Instance {
  const isEnding = metadata.deletionTimestamp !== null;
  return {
    ...baseOf(metadata),
    id: idOf(metadata.name, metadata.uid),
    name: metadata.name,
    state: isEnding ? "terminating" : node === null ? "provisioning" : "running",
    instanceType: spec.instanceType,
    ...addressesOf(node),
    failure: isEnding || node !== null ? null : failureOf(metadata.uid, status, events),
  };
}

/** A Node whose pool was deleted is billed until CoreWeave takes it back. */
function leftOver(node: PoolNode): Instance[] {
  const { metadata } = node;
  const [name, uid] = [metadata.labels[POOL_NAME], metadata.labels[POOL_UID]];
  // Without these labels it is no Node of a NodePool of ours.
  if (name === undefined || uid === undefined) return [];
  return [
    {
      ...baseOf(metadata),
      id: idOf(name, uid),
      name,
      state: "terminating",
      instanceType: metadata.labels["node.kubernetes.io/instance-type"] ?? "",
      ...addressesOf(node),
      failure: null,
    },
  ];
}

const Place = v.object({ region: v.nullable(text), zone: v.nullable(text) });

function baseOf(metadata: NodePool["metadata"]) {
  const place = v.safeParse(Place, parsed(metadata.annotations[PLACE]));
  const { region, zone } = place.success ? place.output : { region: null, zone: null };
  return {
    token: null,
    tags: tagsOf(metadata),
    region,
    zone,
    createdAtMs: parseInstant(metadata.creationTimestamp),
    // CoreWeave has no call for prices, and announces nothing that is documented.
    pricePerHour: null,
    hostKeys: null,
    notice: null,
  };
}

function tagsOf({ annotations }: NodePool["metadata"]): Record<string, string> {
  const read = v.safeParse(v.record(text, text), parsed(annotations[TAGS]));
  return read.success ? read.output : {};
}

function parsed(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? "null");
  } catch {
    return null;
  }
}

function addressesOf(node: PoolNode | null) {
  const all = node?.status?.addresses ?? [];
  const of = (type: string) => all.find((one) => one.type === type)?.address ?? null;
  return { internalIp: of("InternalIP"), externalIp: of("ExternalIP") };
}

/** What the newest event of a pool says; `null` = a Node is on its way. */
const EVENTS = new Map<string, "capacity" | "quota" | null>([
  ["CWInsufficientCapacity", "capacity"],
  ["CWOverQuota", "quota"],
  ["CWNodeAssigned", null],
  ["CWNodePoolScaledUp", null],
]);

/** Why no Node comes; `null` = nothing is known, and it may still come. */
function failureOf(
  uid: string,
  status: NodePool["status"],
  events: readonly PoolEvent[],
): Instance["failure"] {
  const invalid = status?.conditions.find(isInvalid);
  if (invalid !== undefined) {
    const { message, type, reason } = invalid;
    const shown = message === "" ? `${type}: ${reason}` : message;
    return { class: "bad_request", message: shown.slice(0, SHOWN_CHARS) };
  }
  const told = events
    .filter(({ involvedObject, reason }) => involvedObject.uid === uid && EVENTS.has(reason))
    .toSorted((a, b) => timeOf(a) - timeOf(b))
    .at(-1);
  const cls = EVENTS.get(told?.reason ?? "") ?? null;
  if (told === undefined || cls === null) return null;
  return { class: cls, message: `${told.reason}: ${told.message}`.slice(0, SHOWN_CHARS) };
}

const timeOf = ({ lastTimestamp, eventTime }: PoolEvent): number =>
  parseInstant(lastTimestamp === "" ? eventTime : lastTimestamp) || 0;

/** The condition was renamed in January 2026; both names are read. */
function isInvalid({ type, status, reason }: v.InferOutput<typeof Condition>): boolean {
  if (type !== "Validated" && type !== "Valid") return false;
  return status === "False" || status === "Invalid" || reason === "Invalid";
}
