/**
 * Records one attempt while it runs. The start and end of a step are recorded before the run
 * continues; output in between at most four times a second, one call at a time. All text is masked.
 */
import type { BootstrapAttempt, Output, StepKind } from "../../schema/bootstrap.ts";
import type { StreamName } from "../shell.ts";
import type { Job, Ports } from "./job.ts";
import type { Mask } from "./mask.ts";
import { OutputBuffer } from "./output.ts";

/** Slow enough for a store shared by fifty bootstraps, fast enough to follow. */
const STREAM_MS = 250;
/** Longer commands are cut; the configuration has the whole template. */
const COMMAND_CHARS_MAX = 16_384;
const ERROR_CHARS_MAX = 2_000;

/** One step while it runs. */
export type OpenStep = {
  /** Takes output; cheap. */
  push(stream: StreamName, chunk: Uint8Array): void;
  /** The last non-empty line of stderr, else of stdout, for an error message. */
  lastLine(): string;
  /** Replaces the step's message without ending it, as when a connection is retried. */
  say(error: string): void;
  /** Ends the step; resolves when that is recorded. */
  end(end: StepEnd): Promise<void>;
};

export type StepEnd = { exitCode: number | null; error: string | null; skipped?: boolean };

type Entry = {
  kind: StepKind;
  name: string;
  command: string;
  startedAt: number;
  endedAt: number | null;
  exitCode: number | null;
  skipped: boolean;
  error: string | null;
  /** Buffers of the running step; released at its end. */
  streams: { open: true; buffers: Buffers } | { open: false; outputs: Outputs };
};
type Buffers = Record<StreamName, OutputBuffer>;
type Outputs = Record<StreamName, Output>;

export class AttemptRecord {
  readonly #job: Job;
  readonly #ports: Ports;
  readonly #mask: Mask;
  readonly #startedAt: number;
  readonly #entries: Entry[] = [];
  readonly #broken = new AbortController();
  #hostKey: string | null = null;
  #end: Pick<BootstrapAttempt, "state" | "error" | "endedAt"> = {
    state: "running",
    error: null,
    endedAt: null,
  };
  #writing: Promise<void> = Promise.resolve();
  #cancelStream: (() => void) | null = null;

  constructor(job: Job, ports: Ports, mask: Mask) {
    this.#job = job;
    this.#ports = ports;
    this.#mask = mask;
    this.#startedAt = ports.clock.wallMs();
  }

  /** Aborted when a document could not be recorded while output streamed. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  setHostKey(hostKey: string): void {
    this.#hostKey = hostKey;
  }

  async begin(kind: StepKind, name: string, command: string): Promise<OpenStep> {
    const buffers = {
      stdout: new OutputBuffer(this.#mask),
      stderr: new OutputBuffer(this.#mask),
    };
    const entry: Entry = {
      kind,
      name,
      command: shorten(this.#mask.text(command), COMMAND_CHARS_MAX),
      startedAt: this.#ports.clock.wallMs(),
      endedAt: null,
      exitCode: null,
      skipped: false,
      error: null,
      streams: { open: true, buffers },
    };
    this.#entries.push(entry);
    await this.flush();
    return {
      push: (stream, chunk) => {
        // Output after the end of the step is ignored.
        if (!entry.streams.open) return;
        buffers[stream].push(chunk);
        this.#touch();
      },
      lastLine: () => lastLine(buffers.stderr.read()) ?? lastLine(buffers.stdout.read()) ?? "",
      say: (error) => {
        entry.error = this.#sentence(error);
        this.#touch();
      },
      end: (end) => this.#endStep(entry, end),
    };
  }

  async #endStep(entry: Entry, end: StepEnd): Promise<void> {
    entry.streams = { open: false, outputs: outputsOf(entry) };
    entry.endedAt = this.#ports.clock.wallMs();
    entry.exitCode = end.exitCode;
    entry.error = end.error === null ? null : this.#sentence(end.error);
    entry.skipped = end.skipped ?? false;
    await this.flush();
  }

  /** Ends the attempt and its open steps. */
  async close(state: BootstrapAttempt["state"], error: string | null): Promise<void> {
    const endedAt = this.#ports.clock.wallMs();
    for (const entry of this.#entries) entry.endedAt ??= endedAt;
    this.#end = { state, endedAt, error: error === null ? null : this.#sentence(error) };
    await this.flush();
  }

  /** Records the document after the call in progress. */
  flush(): Promise<void> {
    this.stop();
    this.#writing = this.#writing.then(async () => this.#ports.record(this.document()));
    return this.#writing;
  }

  /** Cancels the pending record. */
  stop(): void {
    this.#cancelStream?.();
    this.#cancelStream = null;
  }

  document(): BootstrapAttempt {
    const { node, pool, instance, attempt, address } = this.#job;
    return {
      ...{ node, pool, instance, attempt, address },
      hostKey: this.#hostKey,
      startedAt: this.#startedAt,
      ...this.#end,
      steps: this.#entries.map((entry) => {
        const { kind, name, command, startedAt, endedAt, exitCode, skipped, error } = entry;
        const step = { kind, name, command, startedAt, endedAt, exitCode, skipped, error };
        return { ...step, ...outputsOf(entry) };
      }),
    };
  }

  #sentence(text: string): string {
    return shorten(this.#mask.text(text), ERROR_CHARS_MAX);
  }

  #touch(): void {
    this.#cancelStream ??= this.#ports.clock.after(STREAM_MS, () => {
      this.#cancelStream = null;
      this.flush().catch((error: unknown) => this.#broken.abort(error));
    });
  }
}

function outputsOf({ streams }: Entry): Outputs {
  if (!streams.open) return streams.outputs;
  const { stdout, stderr } = streams.buffers;
  return { stdout: stdout.read(), stderr: stderr.read() };
}

function shorten(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}…`;
}

function lastLine({ head, tail }: Output): string | null {
  const lines = `${head}${tail}`.split("\n").map((line) => line.trim());
  return lines.findLast((line) => line !== "") ?? null;
}
