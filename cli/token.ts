/**
 * Finds the token: flag or environment, token file, then the control plane's own admin token, which
 * is used only for an unnamed server on this machine, so that it never leaves it.
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
  const given = flags.text("token");
  if (given !== null && given !== "") {
    return soundToken(given, flags.from("token") === "flag" ? "--token" : "NAVARCH_AUTH_TOKEN");
  }
  const file = flags.text("token-file");
  if (file !== null && file !== "") {
    const answer = readText(file);
    if (answer.ok) return soundToken(answer.text, file);
    return usage(`--token-file ${file}: ${answer.message}`);
  }
  const own = join(world.home, ".config", "navarch", "token");
  const kept = readText(own);
  if (kept.ok) return soundToken(kept.text, own);
  const folder = stateGiven(flags);
  if (isOwn && (flags.from("server") === null || folder !== null)) {
    const path = join(folder ?? stateDefault(world), "admin.token");
    const admin = readText(path);
    if (admin.ok) return soundToken(admin.text, path);
    if (folder !== null) return usage(`--state ${folder}: ${path}: ${admin.message}`);
  }
  return { ok: true, token: null, from: null };
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
