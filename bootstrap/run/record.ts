/**
 * The document of one attempt while it is made. A step's begin and end are handed on before the run
 * goes on; what streams in between is handed on at most four times a second, and never twice at the
 * same time. Every text in it has gone through the mask.
 */
import type { BootstrapAttempt, Output, StepKind } from "../../schema/bootstrap.ts";
import type { StreamName } from "../shell.ts";
import type { Job, Ports } from "./job.ts";
import type { Mask } from "./mask.ts";
import { OutputBuffer } from "./output.ts";

/** Slow enough for a store that fifty bootstraps share, fast enough for a person who follows. */
const STREAM_MS = 250;
/** A rendered command is for reading; the whole template is in the configuration. */
const COMMAND_CHARS_MAX = 16_384;
const ERROR_CHARS_MAX = 2_000;

/** One step while it runs. */
export type OpenStep = {
  /** Takes what it says; cheap, whatever comes. */
  push(stream: StreamName, chunk: Uint8Array): void;
  /** Its last words, for an error message: the last non-empty line of stderr, else of stdout. */
  lastLine(): string;
  /** Changes what is said about it without ending it, as when a connection is tried again. */
  say(error: string): void;
  /** Ends it; resolves when that is recorded. */
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
  /** Buffers while it runs; at its end they are read for the last time and let go. */
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
        // A stream that still speaks after the end of its step is not heard.
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

  /** Ends the attempt; steps that are open end with it. */
  async close(state: BootstrapAttempt["state"], error: string | null): Promise<void> {
    const endedAt = this.#ports.clock.wallMs();
    for (const entry of this.#entries) entry.endedAt ??= endedAt;
    this.#end = { state, endedAt, error: error === null ? null : this.#sentence(error) };
    await this.flush();
  }

  /** Hands the document on now, after the one that is under way. */
  flush(): Promise<void> {
    this.stop();
    this.#writing = this.#writing.then(async () => this.#ports.record(this.document()));
    return this.#writing;
  }

  /** No document follows that was not asked for. */
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
