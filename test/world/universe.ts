/**
 * What a simulated world is besides the process that runs in it, and how one is opened.
 */
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import type { CloudState } from "../../reconciler/provider/fake/memory.ts";
import type { Terms } from "../../reconciler/provider/fake/world.ts";
import type { Provider, ProviderClass } from "../../reconciler/core/provider.ts";
import type { ClaimTable } from "../../reconciler/core/store-table.ts";
import type { Agent } from "./agent.ts";
import type { ClusterOptions } from "./virtual-cluster.ts";
import type { CrashInjector } from "./crash-injector.ts";
import type { SchedulerState } from "./fake-scheduler.ts";
import type { SideOptions } from "./slurm/side.ts";
import type { World } from "./world.ts";

/**
 * Everything that outlives a control plane process, as immutable data: any number of worlds may
 * continue from it.
 */
export type Universe = {
  database: Uint8Array;
  cloud: CloudState;
  scheduler: SchedulerState;
  agents: readonly (readonly [string, Agent])[];
  wallMs: number;
};

export type WorldOptions = {
  class?: ProviderClass;
  seed?: number;
  /** The injector of the first life, which the caller then starts. */
  prepare?: CrashInjector;
  /** A file as in production, or memory: the same SQL, quicker, and it can be copied. */
  store?: "file" | "memory";
  faults?: Faults;
  terms?: Partial<Terms>;
  settleMs?: number;
  /** A provider of owned machines, over the claims in the newest life's store. */
  owned?: (claims: ClaimTable) => Provider;
  /** More clouds, as providers of these names; their machines run agents too. */
  others?: readonly string[];
  /** A Kubernetes cluster that the machines join, in place of the scheduler in memory. */
  kubernetes?: ClusterOptions;
  /** A Slurm cluster that the machines join too. */
  slurm?: SideOptions;
  /** Goes on where another world was captured; the caller starts the first life. */
  from?: Universe;
  /** Another process of the same world: it shares all but the process. The caller starts it. */
  beside?: World;
};
