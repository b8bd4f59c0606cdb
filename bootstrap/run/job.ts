/**
 * Input and outcome of one bootstrap. A job is complete: the run reads no configuration, store or
 * environment (law 2).
 */
import type { BootstrapAttempt } from "../../schema/bootstrap.ts";
import type { InstanceId, NodeId, PoolName } from "../../schema/id.ts";
import type { Connect, HostKeyCheck, SshTarget } from "../shell.ts";
import type { TemplateVariable } from "../template/variable.ts";

export type Arch = "x64" | "arm64";

/** An address of the control plane that nodes might dial. */
export type Candidate =
  | { kind: "url"; url: string }
  /** The address from which the machine sees our SSH connection, with this scheme and port. */
  | { kind: "seen"; scheme: "http" | "https"; port: number };

/** The agent for one architecture. */
export type AgentBinary = {
  /** Where nodes fetch it; a value that begins with `/` is a path of the control plane. */
  url: string;
  /** Hexadecimal, of the uncompressed file. */
  sha256: string;
  /** The same file on this machine, to push; `null` = not available. */
  path: string | null;
};

/** A file that a command takes from `path` and brings to `target` with its owner. */
export type JobFile = {
  /** For messages: `munge key`. */
  what: string;
  path: string;
  target: string;
  /** Never logged. */
  bytes: Uint8Array;
};

export type Job = {
  node: NodeId;
  pool: PoolName | null;
  instance: InstanceId;
  /** From 1. */
  attempt: number;
  /** The leader's; with `attempt` it is the fence that the machine keeps (law 5). */
  epoch: number;
  address: string;
  port: number;
  user: string;
  /** The text of the private key. */
  privateKey: string;
  /** The pinned host key, as soon as an attempt has recorded it. */
  hostKey: HostKeyCheck;
  jump: SshTarget | null;
  /** Templates as configured; they parsed when the configuration was loaded. */
  commands: readonly string[];
  /**
   * What the templates may use. `ControlPlane`, `AgentURL` and `AgentSHA256` are filled in from
   * `controlPlane` and `agent` where they are absent.
   */
  values: Readonly<Partial<Record<TemplateVariable, string>>>;
  controlPlane: {
    /** In order of preference, probed from the machine; empty = `values` has it, unprobed. */
    candidates: readonly Candidate[];
    /** As configured, quoted if none answers: `0.0.0.0:50051`. */
    listen: string;
  };
  agent: Readonly<Record<Arch, AgentBinary | null>>;
  /** Where the agent's binary is put before the commands run; `null` = it is not pushed. */
  pushTo: string | null;
  /** Written before the commands run, readable by root only; `null` = the node needs none. */
  credential: { path: string; value: string } | null;
  /** The control plane's own CA, for agents that must trust it; readable by all. */
  ca?: { path: string; pem: string } | null;
  /** The public key that signs orders and releases; readable by all. */
  releaseKey?: { path: string; pem: string } | null;
  /** Placed where they differ; then all commands run again. */
  files?: readonly JobFile[];
  /** The client certificate of an agent; its key is readable by root only. */
  shown?: { certPath: string; cert: string; keyPath: string; key: string } | null;
  become: "auto" | "always" | "never";
  /**
   * Whether commands that an earlier attempt finished are skipped. False after an attempt that
   * finished without a report from its agent: then all commands run again.
   */
  resume: boolean;
  /** Where the machine keeps fence and marks. */
  markDirectory: string;
  timeouts: {
    /** Until the machine accepts the connection, from the start of the run. */
    sshMs: number;
    /** One try. */
    sshConnectMs: number;
    /** Each command, and the push. */
    commandMs: number;
  };
};

/** Root's own, on a file system that survives a reboot. */
export const MARK_DIRECTORY = "/var/lib/navarch-bootstrap";

/** Time as a port (law 8). The reconciler's clock fits. */
export type Clock = {
  /** Milliseconds since the epoch: for records. */
  wallMs(): number;
  /** Milliseconds from an arbitrary origin, never back: for every duration. */
  monoMs(): number;
  /** Runs `work` once after `ms`; the returned function cancels it. */
  after(ms: number, work: () => void): () => void;
};

/** The file's bytes, compressed on the way; throws if it cannot be read. */
export type OpenBinary = (path: string, compress: Compression) => AsyncIterable<Uint8Array>;
export type Compression = "zstd" | "gzip" | "none";

export type Ports = {
  connect: Connect;
  clock: Clock;
  openBinary: OpenBinary;
  /**
   * Called with a fresh document at every change: a step's begin is awaited before its effect
   * (law 4); while output streams at most 4 calls a second are made. A rejection ends the run, and
   * `runBootstrap` rejects with it.
   */
  record(attempt: BootstrapAttempt): void | Promise<void>;
  /** Secrets besides the job's own credential and join token, which are always masked. */
  masks: readonly string[];
};

export type Outcome = {
  /** The last document that was recorded. */
  attempt: BootstrapAttempt;
} & (
  | { kind: "done" }
  | {
      kind: "failed";
      error: string;
      /**
       * `later`: another attempt may succeed. `never`: not with this machine and configuration (no
       * sudo, changed host key, unusable key, unknown address): a person must act, or the node be
       * replaced.
       */
      retry: "later" | "never";
      cause: FailureCause;
    }
  /** The machine has seen a newer epoch or attempt: this run is outdated. */
  | { kind: "stale"; error: string }
  /** By the signal. */
  | { kind: "interrupted" }
  | { kind: "cancelled" }
);

/** For metrics and the pool's guard. */
export type FailureCause =
  | "unreachable"
  | "denied"
  | "host_key"
  | "bad_key"
  | "unsuitable"
  | "no_sudo"
  | "address"
  | "credential"
  | "push"
  | "command"
  | "timeout"
  | "lost"
  | "template";
