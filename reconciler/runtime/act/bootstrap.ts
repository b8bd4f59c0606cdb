/**
 * Carries out set-ups: one run over SSH an operation, written down step by step. What a run says
 * while it runs is kept in memory for whoever follows it; where a step begins or ends the store has
 * it first. A run that its process could not finish is found open and goes on where the marks on
 * the machine end, and those marks refuse whoever is not in charge any more (law 5).
 */
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
import type { Join, JoinPass } from "../../core/scheduler.ts";
import type { BootstrapOperation } from "./execute.ts";

/** Where the agent looks for it by itself. */
const TOKEN_FILE = "/etc/navarch-node/token";
/** Where a pushed agent is found by the commands that follow. */
const AGENT_FILE = "/usr/local/bin/navarch-node";

export type BootstrapPorts = {
  clock: Clock;
  connect: Connect;
  openBinary: OpenBinary;
  run(job: Job, ports: Ports, signal: AbortSignal): Promise<Ended>;
  /** The text of a private key; throws a sentence that names the file. */
  readKey(path: string): Promise<string>;
  /** What a known_hosts file asks of a machine; throws likewise. */
  knownHosts(path: string, host: string, port: number): Promise<HostKeyCheck>;
  credential(node: string): string;
  /** The control plane's own authority, for the machine to check it by; `null` = none is needed. */
  ca: { path: string; pem: string } | null;
  /** The public key that signs orders and releases, for the agent to know; without it, none. */
  releaseKey?: { path: string; pem: string };
  /** What the node's agent shows where certificates are asked for; `null` = none is needed. */
  shown(node: string): NonNullable<Job["shown"]> | null;
  /** Lets a machine join the cluster, where commands do that; `null` = there is none. */
  join?: Join | null;
  /** The agents that can be pushed or fetched from here. */
  agents(): Promise<Readonly<Record<Arch, AgentBinary | null>>>;
  /** Addresses of this control plane that nodes might dial, and what is configured. */
  controlPlane(): { candidates: readonly Candidate[]; listen: string };
  save(attempt: BootstrapAttempt): Promise<void>;
  /** The newest attempt that was saved for the node; `null` = there was none. */
  saved(node: NodeId): Promise<BootstrapAttempt | null>;
  /** Of the leader that acts now, which may not be the one that intended the set-up. */
  epoch(): number;
  /** What this control plane holds, these keys too, and nobody may read in a machine's words. */
  masks(keys: readonly string[]): readonly string[];
};

export class Bootstrapper {
  readonly #ports: BootstrapPorts;
  readonly #live = new Map<NodeId, BootstrapAttempt>();

  constructor(ports: BootstrapPorts) {
    this.#ports = ports;
  }

  /** The attempt that runs here now, with what it said so far. */
  live(node: NodeId): BootstrapAttempt | null {
    return this.#live.get(node) ?? null;
  }

  async run(operation: BootstrapOperation, signal: AbortSignal): Promise<Outcome> {
    const { clock, connect, openBinary, run } = this.#ports;
    let job: Job;
    let pass: JoinPass | null = null;
    try {
      job = await this.#jobOf(operation);
      // Last of all, so that no other hindrance leaves a token behind.
      pass = await this.#pass(operation);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      // Keys, known hosts and the cluster are the operator's: nothing was tried at the machine yet.
      return { kind: "refused", class: "bootstrap", message, retryAfterMs: null, unspent: true };
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
      // One that was interrupted may go on at the machine, until the token expires by itself.
      if (!signal.aborted || signal.reason === "cancelled") await pass?.end();
    }
  }

  /** What the machine needs to join the cluster; `null` if its commands do not. */
  async #pass({ node, pool, payload }: BootstrapOperation): Promise<JoinPass | null> {
    if (!joinsCluster(payload.commands)) return null;
    const join = this.#ports.join ?? null;
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

  async #jobOf({ node, pool, payload }: BootstrapOperation): Promise<Job> {
    const { keyPath, address, port, user, jump } = payload;
    if (keyPath === null) throw new Error("ssh_private_key_path is not set for the pool");
    const privateKey = await this.#ports.readKey(keyPath);
    return {
      node,
      pool,
      instance: payload.instanceId,
      attempt: payload.attempt,
      // An operation found open keeps its first leader's epoch: by that one, the machine could not
      // tell us from a leader that wakes up.
      epoch: this.#ports.epoch(),
      address,
      port,
      user,
      privateKey,
      hostKey: await this.#hostKey(node, payload),
      jump: jump === null ? null : await this.#jump(jump, payload.hostKey, user, privateKey),
      commands: payload.commands,
      values: { ...payload.values, TokenFile: TOKEN_FILE },
      controlPlane: this.#ports.controlPlane(),
      agent: await this.#ports.agents(),
      pushTo: payload.pushAgent ? AGENT_FILE : null,
      credential: { path: TOKEN_FILE, value: this.#ports.credential(node) },
      ca: this.#ports.ca,
      releaseKey: this.#ports.releaseKey ?? null,
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

  /** Checked where a known_hosts file says how; else as it comes, and only what is behind it is. */
  async #jump(text: string, policy: string, user: string, privateKey: string): Promise<SshTarget> {
    const target = jumpOf(text, user, privateKey);
    if (!policy.startsWith("known_hosts:")) return target;
    const hostKey = await this.#ports.knownHosts(policy.slice(12), target.host, target.port);
    return { ...target, hostKey };
  }

  async #hostKey(node: NodeId, payload: BootstrapOperation["payload"]): Promise<HostKeyCheck> {
    const { hostKey, hostKeys, address, port } = payload;
    if (hostKey === "insecure") return { kind: "insecure" };
    if (hostKey.startsWith("known_hosts:")) {
      return this.#ports.knownHosts(hostKey.slice(12), address, port);
    }
    if (hostKeys.length > 0) return { kind: "pinned", keys: hostKeys };
    if (hostKey === "provider") throw new Error("the provider reports no host keys");
    // Cut short after it was reached: what was accepted then is the only key of this machine.
    const before = await this.#ports.saved(node);
    const seen = before?.instance === payload.instanceId ? before.hostKey : null;
    return seen === null ? { kind: "first-use" } : { kind: "pinned", keys: [seen] };
  }
}

function valuesOf({ server, token, caHash }: JoinPass): Job["values"] {
  return { KubernetesServer: server, KubernetesJoinToken: token, KubernetesCAHash: caHash };
}

/** Changes where a step begins or ends, or the attempt itself does. */
function markOf({ state, steps, hostKey }: BootstrapAttempt): string {
  const ended = steps.filter(({ endedAt }) => endedAt !== null).length;
  return `${state}/${steps.length}/${ended}/${hostKey ?? ""}`;
}

/** `[user@]host[:port]`, with the machine's own user and key where it says none. */
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
    case "failed": {
      const final = ended.retry === "never";
      const refused = { kind: "refused", class: "bootstrap", retryAfterMs: null } as const;
      return { ...refused, message: ended.error, final, hostKey };
    }
    // A leader that was replaced cannot write this. Who can was put back by a restored backup, and
    // would be refused for ever: the machine, which never served, gives way to a fresh one.
    case "stale": {
      const refused = { kind: "refused", class: "bootstrap", retryAfterMs: null } as const;
      return { ...refused, message: ended.error, final: true, hostKey };
    }
    case "interrupted":
      return { kind: "ambiguous", message: "interrupted: it goes on where it was" };
    case "cancelled":
      return { kind: "ambiguous", message: "cancelled" };
    default:
      return unreachable(ended);
  }
}
