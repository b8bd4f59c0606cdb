/**
 * Carries out set-ups: one run over SSH for each operation. Output of a running attempt is kept in
 * memory for followers; each start and end of a step is stored first. An interrupted run is found
 * open and resumes after the marks on the machine, which also refuse a former leader (law 5).
 */
import { SLURM_NODE_COMMANDS } from "../../../bootstrap/builtin/slurm-node.ts";
import { joinsCluster } from "../../../bootstrap/template/join-need.ts";
import type { Connect, HostKeyCheck, SshTarget } from "../../../bootstrap/shell.ts";
import type { AgentBinary, Arch, Candidate, Job } from "../../../bootstrap/run/job.ts";
import { MARK_DIRECTORY } from "../../../bootstrap/run/job.ts";
import type { OpenBinary, Outcome as Ended, Ports } from "../../../bootstrap/run/job.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import type { NodeId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Clock } from "../../core/clock.ts";
import type { Outcome } from "../../core/fold/outcome.ts";
import type { Join, JoinPass } from "../../core/kubernetes/scheduler.ts";
import type { AskHostKeys, BootstrapOperation } from "./execute.ts";
import { HostKeyWait, KeysOverdue } from "./host-key-wait.ts";

/** The agent's default path. */
const TOKEN_FILE = "/etc/navarch-node/token";
/** Set-up commands call the pushed agent here. */
const AGENT_FILE = "/usr/local/bin/navarch-node";

export type BootstrapPorts = {
  clock: Clock;
  connect: Connect;
  openBinary: OpenBinary;
  run(job: Job, ports: Ports, signal: AbortSignal): Promise<Ended>;
  /** The text of a private key; throws a sentence that names the file. */
  readKey(path: string): Promise<string>;
  /** The check that a known_hosts file requires; throws a sentence that names the file. */
  knownHosts(path: string, host: string, port: number): Promise<HostKeyCheck>;
  credential(node: string): string;
  /** The authority of the control plane's certificate; `null` = none is needed. */
  ca: { path: string; pem: string } | null;
  /** The public key that signs orders and releases; `null` = none. */
  releaseKey: { path: string; pem: string } | null;
  /** The node's client certificate; `null` = none is needed. */
  shown(node: string): NonNullable<Job["shown"]> | null;
  /** What set-ups of `slurm-node` get; throws a sentence that names the file. */
  slurm(): Promise<Required<Pick<Job, "files" | "values">>>;
  /** Lets a machine join the cluster; `null` = there is no cluster. */
  join: Join | null;
  agents(): Promise<Readonly<Record<Arch, AgentBinary | null>>>;
  /** Addresses of this control plane that nodes might dial, and the configured one. */
  controlPlane(): { candidates: readonly Candidate[]; listen: string };
  save(attempt: BootstrapAttempt): Promise<void>;
  /** The newest saved attempt; `null` = none. */
  saved(node: NodeId): Promise<BootstrapAttempt | null>;
  /** The current leader's, which may not be the one of the operation. */
  epoch(): number;
  /** Secrets, these keys included, that are removed from a machine's output. */
  masks(keys: readonly string[]): readonly string[];
};

export class Bootstrapper {
  readonly #ports: BootstrapPorts;
  readonly #live = new Map<NodeId, BootstrapAttempt>();
  readonly #keyWait: HostKeyWait;

  constructor(ports: BootstrapPorts) {
    this.#ports = ports;
    this.#keyWait = new HostKeyWait(ports.clock);
  }

  /** The attempt that runs here now, with its output so far. */
  live(node: NodeId): BootstrapAttempt | null {
    return this.#live.get(node) ?? null;
  }

  async run(
    operation: BootstrapOperation,
    signal: AbortSignal,
    askKeys: AskHostKeys,
  ): Promise<Outcome> {
    const { clock, connect, openBinary, run } = this.#ports;
    let job: Job;
    let pass: JoinPass | null = null;
    try {
      job = await this.#jobOf(operation, askKeys);
      // Last, so that no other failure leaves a token behind.
      pass = await this.#pass(operation);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      // Keys, known hosts and the cluster are the operator's; the machine was not contacted yet.
      const unspent = !(error instanceof KeysOverdue);
      return { kind: "refused", class: "bootstrap", message, retryAfterMs: null, unspent };
    }
    let saved = "";
    const record = async (attempt: BootstrapAttempt): Promise<void> => {
      this.#live.set(attempt.node, attempt);
      const mark = markOf(attempt);
      if (mark === saved) return;
      saved = mark;
      await this.#ports.save(attempt);
    };
    try {
      const masks = this.#ports.masks([job.privateKey, job.shown?.key ?? ""]);
      const whole = pass === null ? job : { ...job, values: { ...job.values, ...valuesOf(pass) } };
      return outcomeOf(await run(whole, { clock, connect, openBinary, record, masks }, signal));
    } finally {
      this.#live.delete(job.node);
      // An interrupted set-up may continue at the machine, until the token expires.
      if (!signal.aborted || signal.reason === "cancelled") await pass?.end();
    }
  }

  /** The values with which the machine joins; `null` if its commands do not join. */
  async #pass({ node, pool, payload }: BootstrapOperation): Promise<JoinPass | null> {
    if (!joinsCluster(payload.commands)) return null;
    const { join } = this.#ports;
    if (join === null) {
      throw new Error(
        "the pool's commands join a cluster, and no Kubernetes cluster is configured",
      );
    }
    const commands = payload.commands.length + (payload.pushAgent ? 1 : 0);
    const lastsMs = payload.sshTimeoutMs + commands * payload.commandTimeoutMs;
    const pass = await join({ node, pool, lastsMs });
    if (pass.kind === "hindered") throw new Error(pass.message);
    return pass;
  }

  async #jobOf({ node, pool, payload }: BootstrapOperation, askKeys: AskHostKeys): Promise<Job> {
    const { keyPath, address, port, user, jump } = payload;
    if (keyPath === null) throw new Error("ssh_private_key_path is not set for the pool");
    const privateKey = await this.#ports.readKey(keyPath);
    const isSlurm = payload.commands.some((one) => SLURM_NODE_COMMANDS.includes(one));
    const slurm = isSlurm ? await this.#ports.slurm() : undefined;
    return {
      node,
      pool,
      instance: payload.instanceId,
      attempt: payload.attempt,
      // The operation's own epoch could be that of a former leader, which the machine must refuse.
      epoch: this.#ports.epoch(),
      address,
      port,
      user,
      privateKey,
      hostKey: await this.#hostKey(node, payload, askKeys),
      jump: jump === null ? null : await this.#jump(jump, payload.hostKey, user, privateKey),
      commands: payload.commands,
      values: { ...slurm?.values, ...payload.values, TokenFile: TOKEN_FILE },
      ...(slurm === undefined ? {} : { files: slurm.files }),
      controlPlane: this.#ports.controlPlane(),
      agent: await this.#ports.agents(),
      pushTo: payload.pushAgent ? AGENT_FILE : null,
      credential: { path: TOKEN_FILE, value: this.#ports.credential(node) },
      ca: this.#ports.ca,
      releaseKey: this.#ports.releaseKey,
      shown: this.#ports.shown(node),
      become: payload.become,
      resume: true,
      markDirectory: MARK_DIRECTORY,
      timeouts: {
        sshMs: payload.sshTimeoutMs,
        sshConnectMs: payload.sshConnectTimeoutMs,
        commandMs: payload.commandTimeoutMs,
      },
    };
  }

  /** The jump host's key is checked only against a known_hosts file. */
  async #jump(text: string, policy: string, user: string, privateKey: string): Promise<SshTarget> {
    const target = jumpOf(text, user, privateKey);
    if (!policy.startsWith("known_hosts:")) return target;
    const hostKey = await this.#ports.knownHosts(policy.slice(12), target.host, target.port);
    return { ...target, hostKey };
  }

  async #hostKey(
    node: NodeId,
    payload: BootstrapOperation["payload"],
    askKeys: AskHostKeys,
  ): Promise<HostKeyCheck> {
    const { hostKey, hostKeys, address, port, instanceId } = payload;
    if (hostKey === "insecure") return { kind: "insecure" };
    if (hostKey.startsWith("known_hosts:")) {
      return this.#ports.knownHosts(hostKey.slice(12), address, port);
    }
    if (hostKeys.length > 0) return { kind: "pinned", keys: hostKeys };
    const isRequired = hostKey === "provider";
    const keys = await this.#keyWait.keysOf(instanceId, askKeys, isRequired);
    if (keys.length > 0) return { kind: "pinned", keys };
    if (isRequired) throw new Error("the provider reports no host keys");
    // An earlier, interrupted attempt has accepted the machine's key.
    const before = await this.#ports.saved(node);
    const seen = before?.instance === instanceId ? before.hostKey : null;
    return seen === null ? { kind: "first-use" } : { kind: "pinned", keys: [seen] };
  }
}

function valuesOf({ server, token, caHash }: JoinPass): Job["values"] {
  return { KubernetesServer: server, KubernetesJoinToken: token, KubernetesCAHash: caHash };
}

/** Text that changes when a step or the attempt begins or ends. */
function markOf({ state, steps, hostKey }: BootstrapAttempt): string {
  const ended = steps.filter(({ endedAt }) => endedAt !== null).length;
  return `${state}/${steps.length}/${ended}/${hostKey ?? ""}`;
}

/** `[user@]host[:port]`; user and key default to those of the machine. */
function jumpOf(text: string, user: string, privateKey: string): SshTarget {
  const match = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(text);
  const host = (match?.[2] ?? text).replace(/^\[|\]$/g, "");
  const port = Number(match?.[3] ?? 22);
  return { host, port, user: match?.[1] ?? user, privateKey, hostKey: { kind: "insecure" } };
}

function outcomeOf(ended: Ended): Outcome {
  const { hostKey } = ended.attempt;
  switch (ended.kind) {
    case "done":
      return { kind: "done", instance: null, message: null, hostKey };
    case "failed":
    case "stale": {
      // Only a leader from a restored backup records `stale`. The machine, which never served,
      // would refuse it for ever, and is replaced.
      const final = ended.kind === "stale" || ended.retry === "never";
      const refused = { kind: "refused", class: "bootstrap", retryAfterMs: null } as const;
      return { ...refused, message: ended.error, final, hostKey };
    }
    case "interrupted":
      return { kind: "ambiguous", message: "interrupted: it goes on where it was" };
    case "cancelled":
      return { kind: "ambiguous", message: "cancelled" };
    default:
      return unreachable(ended);
  }
}
