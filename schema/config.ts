/**
 * The normalised configuration: durations are milliseconds and end in `Ms`; every default is filled
 * in. `schema/config/` has the keys, `reconciler/config/` reads the files.
 */
import * as v from "valibot";
import { Autoscaler } from "./config/autoscaler.ts";
import { entriesOf, shortText as text, type ValueOf } from "./config/field.ts";
import type { KUBERNETES } from "./config/kubernetes.ts";
import { GKE, POOLS_FROM_KUBERNETES } from "./config/provisioner.ts";
import { BODY, BOOTSTRAP, REF, RUNGS, SCALING } from "./config/pool.ts";
import { PROVIDER_TYPES } from "./config/provider.ts";
import { type SAFETY, SPEND } from "./config/safety.ts";
import { ROOT } from "./config/root.ts";
import type { SLURM } from "./config/slurm.ts";
import { MANAGER, RETRY, SERVER, TLS, WEBHOOK } from "./config/server.ts";
import { PoolName } from "./id.ts";
import { LIMIT } from "./limit.ts";
import { amount, count, finite } from "./number.ts";
import { MachineSettings } from "./purchase.ts";

export type { Autoscaler } from "./config/autoscaler.ts";
export type { Share } from "./config/field.ts";
export { RUNGS } from "./config/pool.ts";
export { PROVIDER_TYPES, type ProviderType } from "./config/provider.ts";

export type Rung = (typeof RUNGS)[number];

export type SafetyConfig = ValueOf<typeof SAFETY>;
export type Spend = ValueOf<typeof SPEND>;
export type KubernetesConfig = ValueOf<typeof KUBERNETES>;
export type SlurmConfig = ValueOf<typeof SLURM>;

/** Where and on which terms instances may be bought. */
const ProviderRef = v.object({
  ...entriesOf(REF),
  /** As the pool's, where the entry says nothing. */
  market: entriesOf(BODY).market,
  /** Types besides `instanceType` that may be bought, in order. */
  instanceTypes: v.nullish(v.array(text), []),
  name: PoolName,
  priority: count,
  regions: v.array(text),
  zones: v.array(text),
  instanceType: text,
  /** What the pool sets over the provider's settings; absent = nothing. */
  settings: v.optional(MachineSettings),
});
export type ProviderRef = v.InferOutput<typeof ProviderRef>;

export const PoolConfig = v.object({
  ...entriesOf(BODY),
  name: PoolName,
  /** Empty only with `adopt`. */
  providers: v.array(ProviderRef),
  instanceType: text,
  /** GPUs of each node; 0 = none expected; absent = by the instance type. */
  gpus: v.nullish(v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax))),
  scaling: v.object({ ...entriesOf(SCALING), autoscaler: v.nullable(Autoscaler) }),
  /** `implied`: no `repair:` block; replacement comes first, except for fabric faults. */
  repair: v.object({
    ladder: v.pipe(v.array(v.picklist(RUNGS)), v.minLength(1)),
    implied: v.optional(v.literal(true)),
  }),
  bootstrap: v.object({ ...entriesOf(BOOTSTRAP), setupCommands: v.array(text) }),
});
export type PoolConfig = v.InferOutput<typeof PoolConfig>;

/** Settings of one provider beyond its type. */
export const ProviderConfig = v.object({
  name: PoolName,
  type: v.picklist(PROVIDER_TYPES),
  /** Defined by a pool's reference only. */
  implied: v.boolean(),
  spend: v.object(entriesOf(SPEND)),
  settings: v.record(text, v.union([v.string(), finite, v.boolean(), v.null()])),
});
export type ProviderConfig = v.InferOutput<typeof ProviderConfig>;

const NotifierConfig = v.variant("type", [
  v.object({ type: v.literal("noop") }),
  v.object({
    type: v.literal("webhook"),
    ...entriesOf(WEBHOOK),
    retry: v.object({ ...entriesOf(RETRY), maxMs: amount }),
  }),
]);
export type NotifierConfig = v.InferOutput<typeof NotifierConfig>;

const ServerConfig = v.object({
  /** Empty = every interface. */
  host: v.string(),
  port: v.pipe(count, v.maxValue(65_535)),
  ...entriesOf(SERVER),
  heartbeatTimeoutMs: amount,
  /** Absent in configurations that older releases saved. */
  metricsPort: v.nullish(v.pipe(count, v.maxValue(65_535)), 0),
  notifier: NotifierConfig,
  /** Either both files, or `ownCa`: a CA made on first start. */
  tls: v.nullable(v.object(entriesOf(TLS))),
  ...entriesOf(MANAGER),
});
export type ServerConfig = v.InferOutput<typeof ServerConfig>;

/** A cluster whose AgentPools are served. */
const Provisioner = v.object({
  ...entriesOf(POOLS_FROM_KUBERNETES),
  /** Empty = all. */
  namespaces: v.array(v.string()),
  gke: v.nullable(v.object(entriesOf(GKE))),
});
export type Provisioner = v.InferOutput<typeof Provisioner>;

const { safety, kubernetes, slurm, queue, simulation } = ROOT;

export const Config = v.object({
  server: ServerConfig,
  safety,
  providers: v.array(ProviderConfig),
  pools: v.array(PoolConfig),
  kubernetes,
  slurm,
  provisioners: v.nullish(v.array(Provisioner), []),
  queue,
  simulation,
});
export type Config = v.InferOutput<typeof Config>;

/** A problem of a document: `FILE:LINE:COL: PATH: problem (hint)`. */
export type Problem = {
  file: string;
  line: number;
  col: number;
  path: string;
  code: string;
  message: string;
  hint: string | null;
  severity: "error" | "warning" | "note";
};
