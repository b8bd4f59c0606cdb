/**
 * A purchase as a virtual Node, and what the API server shows of it as an instance. Pure. What the
 * Node was bought for, its newest fence and its boot are annotations, so that each process that
 * works on it reads the same.
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import { InstantText, parseInstant } from "../../../schema/instant.ts";
import { count, instant, positive } from "../../../schema/number.ts";
import type { CreateRequest, Instance, Notice } from "../../core/provider.ts";
import { labelValue } from "../coreweave/node-pool.ts";
import type { Resources } from "./catalog.ts";
import { virtualNode, type VirtualNode } from "./virtual-node.ts";

/** Not `navarch.dev/fleet`, which each Node of the fleet has, bought or not. */
export const FLEET_LABEL = "navarch.dev/bought-by";
/** The provider's name: two of them may share a cluster. */
const SELLER_LABEL = "navarch.dev/bought-from";
export const TOKEN = "navarch.dev/purchase-token";
/** The newest fence of a call that was accepted for the Node. */
export const FENCE = "navarch.dev/purchase-fence";
/** JSON of `Boot`; absent before the first reboot. */
export const BOOT = "navarch.dev/boot";
const TAGS = "navarch.dev/tags";
const PLACE = "navarch.dev/place";
/** JSON of a notice, written by a person or a workflow: announces the end, as a cloud does. */
export const SIM_NOTICE = "navarch.dev/sim-notice";

const text = v.string();
const texts = v.nullish(v.record(text, text), {});

export const BoughtNode = v.object({
  metadata: v.object({
    name: text,
    uid: text,
    resourceVersion: v.nullish(text, ""),
    creationTimestamp: InstantText,
    deletionTimestamp: v.nullish(text, null),
    labels: texts,
    annotations: texts,
  }),
});
export type BoughtNode = v.InferOutput<typeof BoughtNode>;

/** Selects the Nodes that this fleet bought from this provider. */
export const ownedBy = (fleetId: string, provider: string): string =>
  `${FLEET_LABEL}=${labelValue(fleetId)},${SELLER_LABEL}=${labelValue(provider)}`;

export type Seller = { provider: string; isTainted: boolean };

/** The body of a purchase. */
export function nodeOf(
  request: CreateRequest,
  { fence, resources }: { fence: number; resources: Resources },
  { provider, isTainted }: Seller,
): VirtualNode {
  const { name, token, tags, region, zone, instanceType } = request;
  return virtualNode({
    name,
    labels: {
      [FLEET_LABEL]: labelValue(tags["navarch-fleet"] ?? ""),
      [SELLER_LABEL]: labelValue(provider),
      "node.kubernetes.io/instance-type": labelValue(instanceType),
      ...(region === null ? {} : { "topology.kubernetes.io/region": labelValue(region) }),
      ...(zone === null ? {} : { "topology.kubernetes.io/zone": labelValue(zone) }),
    },
    annotations: {
      [TOKEN]: token,
      [FENCE]: String(fence),
      [TAGS]: JSON.stringify(tags),
      [PLACE]: JSON.stringify({ region, zone, instanceType }),
    },
    resources,
    conditions: [],
    isTainted,
  });
}

/** The name is needed for each call, and the UID makes it one object's for ever. */
const idOf = (name: string, uid: string): InstanceId =>
  v.parse(InstanceId, `virtual/${name}/${uid}`);

export function partsOf(id: InstanceId): { name: string; uid: string } | null {
  const [kind, name, uid, ...more] = id.split("/");
  if (kind !== "virtual" || name === undefined || uid === undefined) return null;
  return more.length > 0 || name === "" || uid === "" ? null : { name, uid };
}

const Place = v.object({
  region: v.nullable(text),
  zone: v.nullable(text),
  instanceType: text,
});

export function instanceOf({ metadata }: BoughtNode): Instance {
  const { name, uid, annotations, creationTimestamp, deletionTimestamp } = metadata;
  const read = v.safeParse(Place, parsed(annotations[PLACE]));
  const place = read.success ? read.output : { region: null, zone: null, instanceType: "" };
  return {
    id: idOf(name, uid),
    name,
    token: null,
    state: deletionTimestamp === null ? "running" : "terminating",
    tags: tagsOf(annotations),
    ...place,
    // KWOK gives a Node that is born Ready no addresses.
    internalIp: null,
    externalIp: null,
    createdAtMs: parseInstant(creationTimestamp),
    pricePerHour: null,
    hostKeys: null,
    failure: null,
    notice: noticeOf(annotations),
  };
}

const SimNotice = v.strictObject({
  kind: v.picklist(["preemption", "maintenance"]),
  /** Wall milliseconds; `null` = not announced. */
  atMs: v.nullish(instant, null),
  message: v.nullish(text, ""),
});

/** Another text announces nothing: a rehearsal ends no machine by a typing error. */
function noticeOf(annotations: Record<string, string>): Notice | null {
  const read = v.safeParse(SimNotice, parsed(annotations[SIM_NOTICE]));
  return read.success ? read.output : null;
}

function tagsOf(annotations: Record<string, string>): Record<string, string> {
  const read = v.safeParse(v.record(text, text), parsed(annotations[TAGS]));
  return read.success ? read.output : {};
}

/** The newest fence that the Node has seen; 0 if it cannot be read. */
export function fenceOf({ metadata }: BoughtNode): number {
  const read = v.safeParse(count, Number(metadata.annotations[FENCE] ?? "0"));
  return read.success ? read.output : 0;
}

const Boot = v.object({
  /** From 1. */
  count: positive,
  atMs: instant,
  /** Of the order to reboot. */
  fence: count,
});
export type Boot = v.InferOutput<typeof Boot>;

/** The present boot; the first one began with the Node. */
export function bootOf({ metadata }: BoughtNode): Boot {
  const read = v.safeParse(Boot, parsed(metadata.annotations[BOOT]));
  if (read.success) return read.output;
  return { count: 1, atMs: parseInstant(metadata.creationTimestamp), fence: -1 };
}

/** Names the agent's folder: a token is one purchase's, and any text. */
export const folderOf = (token: string): string =>
  createHash("sha256").update(token).digest("hex").slice(0, 40);

function parsed(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? "null");
  } catch {
    return null;
  }
}
