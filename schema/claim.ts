/**
 * Claims of machines that the operator owns. A claim is made in place of a purchase and released in
 * place of a termination; the machine itself is not touched.
 */
import * as v from "valibot";
import { InstanceId, NodeId, PoolName } from "./id.ts";
import { count, instant } from "./number.ts";

const text = v.string();

/** What the inventory says of a machine, to find, reach and repair it. */
export const OwnedHost = v.object({
  /** Its name in the inventory, which identifies it. */
  name: text,
  rack: v.nullable(text),
  /** For the set-up over SSH; `null` = the pool's. */
  port: v.nullable(count),
  user: v.nullable(text),
  keyPath: v.nullable(text),
});
export type OwnedHost = v.InferOutput<typeof OwnedHost>;

export const Claim = v.object({
  provider: PoolName,
  /** Name of the machine in the inventory. */
  host: text,
  /** Where it was when it was claimed; the inventory has the present address. */
  address: text,
  port: v.nullable(count),
  /** Name of the request, never used for two claims. */
  name: text,
  /** Id of the instance that the claim stands for, never reused. */
  instance: InstanceId,
  node: NodeId,
  tags: v.record(text, text),
  instanceType: text,
  region: v.nullable(text),
  zone: v.nullable(text),
  at: instant,
  releasedAt: v.nullable(instant),
});
export type Claim = v.InferOutput<typeof Claim>;
