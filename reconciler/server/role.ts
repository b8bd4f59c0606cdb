/**
 * The roles of this process: the leader, which acts, and a standby, which shows a copy of the fleet
 * and forwards everything else. Each is built from the store and carries nothing over; an earlier
 * leader's last writes and calls are refused by its epoch and its term.
 */
import type { Config, NotifierConfig, ProviderConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import { type Fact, factKey } from "../../schema/safety.ts";
import type { Bootstrapper } from "../runtime/act/bootstrap.ts";
import type { openNotifier } from "./notifier.ts";
import type { Authority } from "../security/auth.ts";
import { noAgentPools } from "../core/agentpool/none.ts";
import type { AgentPools } from "../core/agentpool/service.ts";
import type { ConsoleCluster } from "../core/console/cluster.ts";
import { withoutActions } from "../core/console/read-only.ts";
import type { ReadMetric } from "../core/scaling/metric.ts";
import type { Clock, Log } from "../core/clock.ts";
import { type DemandQueue, noDemandQueue } from "../core/console/demand.ts";
import { openAdmission } from "../security/join/admission.ts";
import { PodTokens } from "../security/join/pod-token.ts";
import { ALWAYS } from "../runtime/act/run.ts";
import type { Metrics } from "../http/metrics/metrics.ts";
import type { Loaded, Reloader } from "../core/reload.ts";
import { withRemoved } from "../core/removal.ts";
import { type AskSelf, openNoWorkflows, type WorkflowRunner } from "../core/workflow.ts";
import type { OpenProviders } from "../provider/open.ts";
import { type GivenPorts, actOfCall } from "../http/route/table.ts";
import { Forward } from "../http/route/forward.ts";
import type { InstallPorts } from "../http/route/release-folder.ts";
import { Front } from "../http/route/listen.ts";
import { Quota } from "../http/route/quota.ts";
import { openReadiness, openStandbyReadiness } from "../http/route/ready.ts";
import type { Scheduler } from "../core/kubernetes/scheduler.ts";
import type { PodSetPort } from "../core/slurm/pod-set.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import type { LeaseRow } from "../core/store-table.ts";
import type { Store, StoreHooks } from "../core/store.ts";
import { spansOf } from "../core/trace.ts";
import { openOrderSigner } from "../security/order-signer.ts";
import type { Settings } from "../runtime/settings.ts";
import type { Simulation } from "../runtime/simulation.ts";
import { nextTurn } from "../runtime/turn.ts";
import { Story } from "../runtime/story.ts";
import type { PeerTls } from "../security/tls/open.ts";
import type { Traces } from "../trace/otlp.ts";
import { compose, type ControlPlane, type PlanePorts } from "./compose.ts";
import { type OpenedPools, openPoolActor } from "./open-agentpool.ts";
import { lateQueue } from "./open-queue.ts";
import { openAskSelf, openRuns } from "./open-runs.ts";
import { type Adopter, closedSettings, LeaderConfig, openStandbyConfig } from "./adopt.ts";
import { Clouds } from "./lease/clouds.ts";
import { permitOf, type Term } from "./lease/lease.ts";
import { endForOwner, loadOwn } from "./lease/own-store.ts";

/** What both roles are made of; it lives as long as the process. */
export type Parts = {
  /** What a role begins with; a reload replaces it. */
  loaded: Loaded;
  fleetId: string;
  clock: Clock;
  log: Log;
  authority: Authority;
  metrics: Metrics;
  scheduler: Scheduler;
  slurm: SlurmSink | null;
  podSet: PodSetPort | null;
  /** Opens the cluster that the console shows, for a term of leading; `null` without one. */
  openConsole: (() => ConsoleCluster) | null;
  /** The cluster of AgentPools; `null`: none is configured. */
  pools: OpenedPools | null;
  dryRun: boolean;
  /** See `LoopPorts`. */
  cpuMs(): number;
  /** The system's clock; `clock` follows it slowly. */
  systemMs(): number;
  /** Codes whose counters exist from the start. */
  xids: readonly number[];
  newId(): string;
  newSecret(): string;
  /** See `LoopPorts`; on a standby, a read of the lease counts as an activation. */
  turned(ok: boolean): void;
  /** See `GivenPorts`. */
  backup: (() => Promise<string>) | null;
  /** See `GivenPorts`. */
  caPem: string | null;
  /** See `Port`. */
  peerTls(): PeerTls | null;
  install: InstallPorts | null;
  /** See `GivenPorts`. */
  names: ReadonlySet<string>;
  openProviders(configs: ProviderConfig[], store: Store): Promise<OpenProviders>;
  /** See `CloudPorts`. */
  fingerprint(config: ProviderConfig): string;
  /** See `GivenPorts`. */
  reloader(): Reloader | null;
  /** See `GivenPorts`. */
  simulation: Simulation;
  /** Runs workflows while this process leads; `ask` asks its own API. */
  openWorkflows(ask: AskSelf): WorkflowRunner;
  /** Ends this process, because it acts for a fleet that the store is not any more. */
  restart(fleet: string): void;
  /** Names this machine in events. */
  host: string;
  openNotifier(config: NotifierConfig, store: Store): ReturnType<typeof openNotifier>;
  /** Sets machines up over SSH; `null` = not done here. */
  openBootstrapper(store: Store): Bootstrapper | null;
  /** See `Sight`. */
  keyProblem: ((path: string) => string | null | undefined) | null;
  /** See `LoopPorts`. */
  readMetric: ReadMetric | null;
  /** Where repairs and calls are traced; `null` = nowhere. */
  traces: Traces | null;
};

const NOT_LEADER = "this replica does not lead, and the leader does not answer; ask again";

/** A standby's limits in multiples of the leader's, which counts all requests. */
const PASSED_ON = 2;

export type Role = Adopter & {
  front: Front;
  /** Begins to act; before that it only answers. */
  begin(): void;
  /** Ends it; waits at most `graceMs` for calls in flight. */
  stop(graceMs: number): Promise<void>;
};

/** `looked` is called after each read of the lease. */
export type Standby = Role & { looked(): void };

/** `callMs` is the longest call that may start under the term and that no target can fence. */
export async function openLeader(
  parts: Parts,
  kept: { store: Store; term: Term; callMs: number | null },
): Promise<Role> {
  const { store, term, callMs } = kept;
  const { metrics, loaded, clock, log, dryRun, authority, newSecret } = parts;
  store.on("quarantined", noteQuarantined(parts));
  const snapshot = await loadOwn(parts, store);
  // What an earlier term broke on purpose does not survive it.
  parts.simulation.clear();
  for (const credential of snapshot.credentials) authority.put(credential);
  const clouds = new Clouds(parts, store);
  const settings = await settingsFor(parts, clouds, snapshot.facts);
  const permit = permitOf(term, callMs);
  const bootstrapper = parts.openBootstrapper(store);
  const late = lateQueue();
  const from = { dryRun, permit, bootstrapper, cursors: snapshot.cursors, tasks: late.demandOf };
  const plane = await composeRole(parts, store, settings, from);
  const { reconciler, ingest } = plane;
  tellChanges(parts, store, reconciler);
  metrics.leads = true;
  const notReady = openReadiness({ reconciler, ingest, store, clock });
  const live = (node: NodeId) => bootstrapper?.live(node) ?? null;
  const { cluster } = parts.scheduler;
  const agent = (node: NodeId) => reconciler.fleet().nodes.get(node)?.agent ?? null;
  const pods = cluster && new PodTokens({ review: cluster.review, agent, clock, log });
  const self = openAskSelf({ authority, clock, newSecret, front: () => front });
  const runner = parts.openWorkflows(self.ask);
  const leads = (): boolean => permit.leads();
  const workers = await openPoolActor(dryRun ? null : parts.pools, {
    ...{ store, reconciler, clock, log, leads },
    push: (node, word) => void front.push(node, word),
    joined: () => joinedBy(authority),
    forget: async (node, uid) => ports.admission?.workers.forget(node, uid),
  });
  const agentPools = workers?.desk ?? noAgentPools(dryRun ? DRY : UNCONFIGURED);
  const queue = await late.open(parts, store, { reconciler, leads });
  const life = { reconciler, ingest, notReady, live, pods, runner, agentPools, queue };
  const console = openConsole(parts);
  const ports = portsOf(parts, store, { ...life, console, quota: new Quota(clock, log) });
  const front = new Front(ports, null);
  const own = new LeaderConfig({ parts, store, plane, loaded }, clouds);
  return {
    front,
    loaded: () => own.loaded(),
    adopt: (next, how) => own.adopt(next, how),
    isUnsettled: () => own.isUnsettled(),
    begin() {
      reconciler.start();
      workers?.start();
      late.start();
      own.begin();
    },
    async stop(graceMs) {
      own.end();
      front.end();
      console?.close();
      await workers?.stop();
      await late.stop();
      const ended = ports.workflows.close(graceMs);
      await reconciler.stop(graceMs).catch((error: unknown) => {
        log("warn", "the loop did not end cleanly", { error: String(error) });
      });
      await ended;
      self.end();
      await own.close();
    },
  };
}

/** Nodes that have a worker's credential. */
const joinedBy = (authority: Authority): { id: NodeId; uid: string }[] =>
  authority.list().flatMap(({ node, worker }) => {
    return node === null || !worker ? [] : [{ id: node, uid: worker.uid }];
  });

/** Opens the providers; one that cannot be opened is a condition of its pools. */
async function settingsFor(
  { loaded, log }: Parts,
  clouds: Clouds,
  stored: readonly Fact[],
): Promise<Settings> {
  const config = withRemoved(loaded.config, new Map(stored.map((one) => [factKey(one), one])));
  const opened = await clouds.prepare(config.providers);
  opened.take(new Set(config.providers.map(({ name }) => name)));
  const { providers, unavailable } = opened;
  for (const [provider, why] of unavailable) {
    const pools = poolsOf(loaded.config, provider);
    log("error", "a provider cannot supply machines", { provider, why, pools });
  }
  return { config, policy: loaded.policy, providers, unavailable };
}

const DRY = "no AgentPools are served: this control plane runs with --dry-run";
const UNCONFIGURED = "no AgentPools are served: no provisioner is configured (provisioners)";

function openConsole({ openConsole: open, dryRun }: Parts): ConsoleCluster | null {
  const cluster = open?.() ?? null;
  if (cluster === null || !dryRun) return cluster;
  return withoutActions(cluster, "nothing was done: this control plane runs with --dry-run");
}

/** What is committed is logged, and traced where traces go. */
function tellChanges(parts: Parts, store: Store, reconciler: ControlPlane["reconciler"]): void {
  const { clock, log, traces } = parts;
  const story = new Story({ clock, log, node: (id) => reconciler.fleet().nodes.get(id) });
  store.on("committed", (change) => {
    story.change(change);
    endForOwner(parts, change.facts);
    traces?.take(spansOf(change));
  });
}

function noteQuarantined({ log, metrics }: Parts): StoreHooks["quarantined"] {
  const message = "a stored row cannot be read and was quarantined";
  return (rows) => {
    for (const { source, key, node, reason } of rows) {
      log("error", message, { source, key, node, reason });
      metrics.quarantined.inc({ source });
    }
  };
}

/** Names of the pools that buy at the provider. */
function poolsOf({ pools }: Config, provider: string): string[] {
  const buys = pools.filter((pool) => pool.providers.some((ref) => ref.name === provider));
  return buys.map((pool) => pool.name);
}

/** Why this process failed to take over; `null` if it did not. */
export type Unfit = { why: string | null };

/** `lease` is the row as last read: it names the leader, and tells whether the copy is old. */
export async function openStandby(
  parts: Parts,
  from: { store: Store; lease(): LeaseRow | null; unfit: Unfit },
): Promise<Standby> {
  const { store, lease } = from;
  const { clock, log, authority, metrics } = parts;
  const idle = { dryRun: true, permit: ALWAYS, bootstrapper: null, cursors: [] };
  const plane = await composeRole(parts, store, closedSettings(parts.loaded), idle);
  const { reconciler, ingest } = plane;
  metrics.leads = false;
  let copied: LeaseRow | null = null;
  let freshMono = clock.monoMs();
  let refreshing: Promise<void> | null = null;
  const refresh = (): Promise<void> => {
    refreshing ??= copy()
      .catch((error: unknown) => {
        log("warn", "cannot read the fleet", { error: String(error) });
      })
      .finally(() => (refreshing = null));
    return refreshing;
  };
  const copy = async (): Promise<void> => {
    const begunMono = clock.monoMs();
    const row = lease();
    for (const credential of await store.credentials()) authority.put(credential);
    await reconciler.look();
    copied = row;
    freshMono = begunMono;
    // Another process leads, and this one can read its data.
    if (row !== null && row.holder !== "") from.unfit.why = null;
  };
  await refresh();
  const sign = (text: string): string => authority.sign(text);
  const peer = parts.peerTls;
  const forward = new Forward({ clock, leader: () => lease()?.address || null, peer, sign });
  const copyAgeMs = (): number => clock.monoMs() - freshMono;
  const unfit = (): string | null => from.unfit.why;
  const notReady = openStandbyReadiness({ forward, copyAgeMs, unfit });
  const quota = new Quota(clock, log, PASSED_ON);
  const runner = openNoWorkflows("this replica does not lead; the leader runs workflows");
  const agentPools = noAgentPools(NOT_LEADER, "unavailable");
  const queue = noDemandQueue(NOT_LEADER, "unavailable");
  const own = { live: () => null, pods: null, runner, agentPools, queue, console: null };
  const life = { reconciler, ingest, quota, notReady, ...own };
  const ports = portsOf(parts, store, life);
  // A forwarded change is in the leader's store, but a refresh may have begun before it.
  const again = async (): Promise<void> => {
    await refreshing;
    await refresh();
  };
  const front = new Front(ports, { forward, refresh: again });
  return {
    front,
    begin: () => undefined,
    ...openStandbyConfig(plane, parts.loaded, refresh),
    looked() {
      const row = lease();
      const same = copied?.writes === row?.writes && copied?.epoch === row?.epoch;
      if (same && copied !== null) freshMono = clock.monoMs();
      else void refresh();
    },
    async stop() {
      front.end();
      await refreshing;
    },
  };
}

/** The loop and its ingest, for either role. */
async function composeRole(
  parts: Parts,
  store: Store,
  settings: Settings,
  from: Pick<PlanePorts, "dryRun" | "permit" | "cursors" | "tasks"> & {
    bootstrapper: Bootstrapper | null;
  },
): Promise<ControlPlane> {
  const { metrics, authority, clock, log, scheduler, slurm, podSet, fleetId, install } = parts;
  const { bootstrapper, ...role } = from;
  const plane = await compose({
    ...role,
    ...settings,
    store,
    clock,
    log,
    scheduler,
    slurm,
    podSet,
    fleetId,
    cpuMs: parts.cpuMs,
    turn: nextTurn,
    turned: parts.turned,
    credential: (node) => authority.issueNode(node),
    bootstrap: bootstrapper?.run.bind(bootstrapper) ?? null,
    keyProblem: parts.keyProblem,
    readMetric: parts.readMetric,
    signer: install === null ? null : openOrderSigner(install.key, parts.systemMs),
    committed: metrics.committed.bind(metrics),
    judged: metrics.judged.bind(metrics),
  });
  metrics.attach(plane.reconciler, parts.xids);
  return plane;
}

function portsOf(
  parts: Parts,
  store: Store,
  life: Pick<GivenPorts, "reconciler" | "ingest" | "quota" | "notReady" | "live" | "pods"> & {
    runner: WorkflowRunner;
    agentPools: AgentPools;
    queue: DemandQueue;
    console: ConsoleCluster | null;
  },
): GivenPorts {
  const { authority, metrics, clock, log, newId, newSecret, backup } = parts;
  const { install, names, caPem, reloader, simulation, traces } = parts;
  const admission = openAdmission({ store, authority, clock, log, actOf: actOfCall });
  const { audit } = admission;
  const workflows = openRuns({ runner: life.runner, audit, clock, log, newId });
  const own = { authority, store, metrics, clock, log, newId, newSecret, backup };
  const shown = { install, names, caPem, reloader, simulation, traces };
  return { ...life, ...own, ...shown, admission, workflows };
}
