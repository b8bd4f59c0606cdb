/**
 * The directory of one run. Events are written as they come; logs are kept in memory up to a cap
 * and written at the end, so that a fleet needs no open file for each of its nodes.
 *
 * Adapter: writes files.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunResult } from "../run/result.ts";
import { formatHtml } from "./html.ts";
import type { Report } from "../run/report.ts";

/** A node that complains for ever must not fill the disk; a fleet has thousands. */
const NODE_LOG_BYTES_MAX = 32 * 1024;
const PLANE_LOG_BYTES_MAX = 8 * 1024 * 1024;
/** Lines are handed to the disk in pieces of this size. */
const BUFFER_BYTES = 256 * 1024;

type Log = { lines: string[]; bytes: number; dropped: number };

export type Extra = { reportFile: string | null; htmlFile: string | null; logFile: string | null };

export class RunFolder {
  readonly path: string;
  readonly #events: number;
  readonly #logs = new Map<string | null, Log>();
  #buffer: string[] = [];
  #buffered = 0;

  /** Makes the directory; throws if it cannot. */
  constructor(path: string, scenario: string) {
    this.path = path;
    mkdirSync(join(path, "logs"), { recursive: true });
    writeFileSync(join(path, "scenario.yaml"), scenario);
    this.#events = openSync(join(path, "events.jsonl"), "w");
  }

  line(line: Record<string, unknown>): void {
    const text = `${JSON.stringify(line)}\n`;
    this.#buffer.push(text);
    this.#buffered += text.length;
    if (this.#buffered >= BUFFER_BYTES) this.#flush();
  }

  /** `null`: the control plane. */
  log(name: string | null, line: string): void {
    let log = this.#logs.get(name);
    if (log === undefined) {
      log = { lines: [], bytes: 0, dropped: 0 };
      this.#logs.set(name, log);
    }
    const max = name === null ? PLANE_LOG_BYTES_MAX : NODE_LOG_BYTES_MAX;
    if (log.bytes + line.length > max) {
      log.dropped++;
      return;
    }
    log.bytes += line.length + 1;
    log.lines.push(line);
  }

  /** Ends the event log without a report: the harness failed. */
  abandon(): void {
    this.#flush();
    closeSync(this.#events);
  }

  /** Writes everything else; answers what could not be written beside the directory. */
  finish(result: RunResult, report: Report, extra: Extra): string[] {
    this.abandon();
    const put = (name: string, text: string): void => writeFileSync(join(this.path, name), text);
    const json = `${JSON.stringify(report, null, 2)}\n`;
    const html = formatHtml(report);
    put("report.json", json);
    put("report.html", html);
    put("metrics.prom", result.metrics);
    put("config.json", `${JSON.stringify(result.config, null, 2)}\n`);
    for (const [name, log] of this.#logs) {
      put(join("logs", `${name ?? "control-plane"}.log`), formatLog(log));
    }
    const plane = this.#logs.get(null);
    const also: [string | null, string][] = [
      [extra.reportFile, json],
      [extra.htmlFile, html],
      [extra.logFile, plane === undefined ? "" : formatLog(plane)],
    ];
    return also.flatMap(([path, text]) => (path === null ? [] : writeBeside(path, text)));
  }

  #flush(): void {
    writeSync(this.#events, this.#buffer.join(""));
    this.#buffer = [];
    this.#buffered = 0;
  }
}

function formatLog({ lines, dropped }: Log): string {
  const rest = dropped === 0 ? "" : `… ${dropped} more lines were not kept\n`;
  return `${lines.join("\n")}\n${rest}`;
}

function writeBeside(path: string, text: string): string[] {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return [];
  } catch (error) {
    return [`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`];
  }
}
