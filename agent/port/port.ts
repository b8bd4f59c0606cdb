/**
 * Defines the ports of the agent's core. It uses nothing else of the world, so a simulation runs a
 * day in a second; `service/main.ts` composes the adapters.
 */
import type { Finding } from "../../schema/finding.ts";
import type { Report, ReportReply } from "../../schema/report.ts";
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
 * The vendor library. No call rejects, and each answers by its deadline (milliseconds): a hang, a
 * crash or a missing library is an answer.
 */
export type Nvml = {
  /** Light readings of every GPU, for metrics and heartbeats. */
  sample(deadlineMs: number): Promise<NvmlAnswer<NvmlSample>>;
  /** The values that the probes judge: identity, thresholds, ECC, remapping, links, modes. */
  check(deadlineMs: number): Promise<NvmlAnswer<NvmlCheck>>;
  /** XID and recovery events since the last call; never blocks on the driver. */
  takeEvents(): NvmlEvent[];
  /** Simulated GPUs, by an explicit flag only. */
  readonly simulated: boolean;
  close(): void;
};

/**
 * A GPU on the PCI bus: `pci` is normalised; `driver` is `null` without a driver. `refused`: a
 * display adapter that the driver does not support.
 */
export type BusGpu = { pci: string; driver: string | null; refused?: true };

export type Bus =
  | { kind: "read"; gpus: readonly BusGpu[] }
  /** `restricted`: this process has some of the GPUs, so their number is no expectation. */
  | { kind: "unreadable"; why: string; restricted?: true };

/** One result of the kernel log reader. */
export type KernelRecordOut =
  | { kind: "finding"; finding: Finding }
  | { kind: "gap"; reason: "kernel_ring" | "malformed"; count: number; atMs: number }
  /** The log cannot be read (docs/reference/kernel-log.md#failures). */
  | { kind: "deaf"; message: string }
  | { kind: "hearing" };

/** Position in the ring of one boot; stored in the same write as the findings. */
export type KernelCursor = { bootId: string; seq: number };

export type KernelLog = {
  /** Reads at most `recordsMax` records without blocking. `cursor` is the position after them. */
  read(recordsMax: number): { out: KernelRecordOut[]; cursor: KernelCursor | null; more: boolean };
  close(): void;
};

export type SendAnswer =
  | { kind: "reply"; reply: ReportReply }
  /** 401/403: retried with back-off, never fatal. */
  | { kind: "unauthorized"; message: string }
  /** Other 4xx: this report is never accepted as it is. */
  | { kind: "refused"; status: number; message: string }
  /** The control plane asks to wait and has accepted nothing. */
  | { kind: "throttled"; retryMs: number; message: string }
  | { kind: "unreachable"; message: string };

/** Delivers reports to the control plane; the spool keeps them until acknowledged. */
export type Sender = {
  /** One at a time; never rejects, and answers by the sender's own deadline. */
  send(report: Report): Promise<SendAnswer>;
  /** `heard` gets replies that the control plane pushes: commands and a new cadence. */
  listen(heard: (reply: ReportReply) => void): void;
  /** True while the WebSocket is up, over which the control plane can push. */
  connected(): boolean;
  close(): void;
};
