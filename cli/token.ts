/**
 * Finds the token: flags, the folder of `--state`, environment, the user's token file, then the
 * admin token of the default state folder. An admin token never leaves this machine.
 *
 * Adapter: reads token files.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Flags } from "./flag.ts";
import { type Failure, usage } from "./failure.ts";
import { stateDefault, stateGiven } from "./state-folder.ts";
import type { World } from "./world.ts";

/** `from` names the source; both are `null` if there is no token. */
export type Token = { ok: true; token: string | null; from: string | null };

/** `isOwn` = the server is on this machine. */
export function readToken(world: World, flags: Flags, isOwn: boolean): Token | Failure {
  const flagged = readGiven(flags, "flag");
  if (flagged !== null) return flagged;
  const folder = stateGiven(flags);
  const named = isOwn && folder !== null ? join(folder, "admin.token") : null;
  const admin = named === null ? null : readText(named);
  // The environment may hold the token of another fleet, so the folder that was named goes first.
  if (named !== null && admin?.ok === true) return soundToken(admin.text, named);
  const exported = readGiven(flags, "env");
  if (exported !== null) return exported;
  const own = join(world.home, ".config", "navarch", "token");
  const kept = readText(own);
  if (kept.ok) return soundToken(kept.text, own);
  if (admin?.ok === false) return usage(`--state ${folder}: ${named}: ${admin.message}`);
  if (isOwn && flags.from("server") === null) {
    const path = join(stateDefault(world), "admin.token");
    const answer = readText(path);
    if (answer.ok) return soundToken(answer.text, path);
  }
  return { ok: true, token: null, from: null };
}

/** The token that flags, or else environment variables, give or name a file of. */
function readGiven(flags: Flags, by: "flag" | "env"): Token | Failure | null {
  const token = flags.from("token") === by ? (flags.text("token") ?? "") : "";
  if (token !== "") return soundToken(token, flags.source("token"));
  const file = flags.from("token-file") === by ? (flags.text("token-file") ?? "") : "";
  if (file === "") return null;
  const answer = readText(file);
  const source = flags.source("token-file");
  if (!answer.ok) return usage(`${source} ${file}: ${answer.message}`);
  return soundToken(answer.text, by === "flag" ? file : `${file}, of ${source}`);
}

/** The token is sent in a header, which must not hold white space. */
function soundToken(text: string, from: string): Token | Failure {
  const token = text.trim();
  if (token === "") return usage(`${from}: the token is empty`);
  if (!/^[\x21-\x7e]+$/.test(token)) {
    return usage(`${from}: the token holds white space or characters that are not ASCII`);
  }
  return { ok: true, token, from };
}

type ReadText = { ok: true; text: string } | { ok: false; message: string };

function readText(path: string): ReadText {
  try {
    return { ok: true, text: readFileSync(path, "utf8") };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const known: Record<string, string> = { ENOENT: "no such file", EACCES: "permission denied" };
    return { ok: false, message: known[code] ?? (error instanceof Error ? error.message : code) };
  }
}
