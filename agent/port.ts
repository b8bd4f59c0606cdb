/**
 * What the agent's core needs from the world. The core takes these and nothing else, so a
 * simulation can drive it through a day in a second; the adapters are composed in `agent/main.ts`
 * only.
 */
import type { Finding } from "../schema/finding.ts";
import type { Report, ReportReply } from "../schema/report.ts";
import type { NvmlAnswer, NvmlCheck, NvmlEvent, NvmlSample } from "./reading.ts";

/** Two clocks: wall time for records, monotonic time for every duration and deadline. */
export type Clock = {
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Milliseconds from an arbitrary origin; never goes back. */
  monoMs(): number;
  /** Runs `work` once after `ms`; the returned function cancels it. */
  after(ms: number, work: () => void): () => void;
};

/**
 * The vendor library behind a wall. No call ever rejects, and each returns by its deadline: a hang,
 * a crash or a missing library is an answer. Deadlines in milliseconds.
 */
export type Nvml = {
  /** Light readings of every GPU, for metrics and heartbeats. */
  sample(deadlineMs: number): Promise<NvmlAnswer<NvmlSample>>;
  /** Everything the probes judge: identity, thresholds, ECC, remapping, links, modes. */
  check(deadlineMs: number): Promise<NvmlAnswer<NvmlCheck>>;
  /** XID and recovery events since the last call; never blocks on the driver. */
  takeEvents(): NvmlEvent[];
  /** True if the GPUs are made up: an explicit flag, never a fallback. */
  readonly simulated: boolean;
  close(): void;
};

/**
 * A GPU on the PCI bus: `pci` is normalised; `driver` is `null` while no driver is bound. `refused`
 * is true of a display adapter that answers and that no driver took.
 */
export type BusGpu = { pci: string; driver: string | null; refused?: true };

/** What the kernel shows on the PCI bus. A bus that cannot be read condemns nothing. */
export type Bus =
  | { kind: "read"; gpus: readonly BusGpu[] }
  /** `restricted`: this process is given some of the GPUs, so their number says nothing. */
  | { kind: "unreadable"; why: string; restricted?: true };

/** One thing the kernel log reader learned. */
export type KernelRecordOut =
  | { kind: "finding"; finding: Finding }
  | { kind: "gap"; reason: "kernel_ring" | "malformed"; count: number; atMs: number }
  /**
   * The log cannot be read (docs/reference/kernel-log.md#failures): the source is deaf until it
   * can.
   */
  | { kind: "deaf"; message: string }
  | { kind: "hearing" };

/** Position in the ring of one boot; stored by the spool in the same write as the findings. */
export type KernelCursor = { bootId: string; seq: number };

export type KernelLog = {
  /**
   * Reads what is there now, at most `recordsMax` records, without blocking. `cursor` is the
   * position after the last record looked at, to be stored once the findings are durable.
   */
  read(recordsMax: number): { out: KernelRecordOut[]; cursor: KernelCursor | null; more: boolean };
  close(): void;
};

/**
 * Delivery to the control plane. Never rejects: an error is an answer and the spool keeps
 * everything.
 */
export type SendAnswer =
  | { kind: "reply"; reply: ReportReply }
  /** 401/403: retried with back-off, logged at most once a minute, never fatal. */
  | { kind: "unauthorized"; message: string }
  /** 4xx other than auth: this report will never be accepted as it is. */
  | { kind: "refused"; status: number; message: string }
  /** The control plane asks to wait; nothing of the report was taken. */
  | { kind: "throttled"; retryMs: number; message: string }
  | { kind: "unreachable"; message: string };

export type Sender = {
  /** One at a time; the answer comes by the sender's own deadline. */
  send(report: Report): Promise<SendAnswer>;
  /**
   * `heard` gets replies that nobody asked for: commands and a new cadence, pushed by the control
   * plane.
   */
  listen(heard: (reply: ReportReply) => void): void;
  /** True while the WebSocket is up; commands then arrive without asking. */
  connected(): boolean;
  close(): void;
};
