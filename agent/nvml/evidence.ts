/**
 * Reads why a process does not answer: state and kernel wait channel of its threads. State `D` in
 * an NVIDIA function is a hung driver; `S` or `R` is a library that sleeps or spins.
 * Adapter: /proc.
 */
import { readdirSync } from "node:fs";
import { readText } from "../state-file.ts";

/** A runtime has about five threads. */
const THREADS_MAX = 8;

/** `<comm>:<state>:<wait channel>` of each thread, space-separated; unreadable parts are `?`. */
export function readEvidence(pid: number): string {
  const folder = `/proc/${pid}/task`;
  let threads: string[];
  try {
    threads = readdirSync(folder);
  } catch {
    return `pid ${pid} is gone`;
  }
  const shown = threads.slice(0, THREADS_MAX).map((thread) => {
    const stat = readOr(`${folder}/${thread}/stat`);
    const channel = readOr(`${folder}/${thread}/wchan`);
    return `${formatThread(stat)}:${channel === "" || channel === "0" ? "-" : channel}`;
  });
  return `pid ${pid} ${shown.join(" ")}`;
}

const readOr = (path: string): string => readText(path)?.trim() ?? "?";

/** `pid (comm) S …`; the name may hold brackets and spaces (proc(5)). */
function formatThread(stat: string): string {
  const open = stat.indexOf("(");
  const close = stat.lastIndexOf(")");
  if (open < 0 || close < open) return "?:?";
  const name = stat.slice(open + 1, close).replaceAll(/[\s:]/g, "_");
  return `${name}:${stat.slice(close + 2, close + 3)}`;
}
