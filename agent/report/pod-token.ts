/**
 * Reads the service-account token of the agent's pod. The kubelet replaces the file before the
 * token expires, so it is read each time.
 *
 * Adapter: the file system.
 */
import { readFileSync } from "node:fs";
import { LIMIT } from "../../schema/limit.ts";
import type { Log } from "./part.ts";

/** The compact form of a signed JWT (RFC 7515 §3.1). */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** `null` without a file; each problem of the file is logged once. */
export function openPodToken(path: string | null, log: Log): () => string | null {
  if (path === null) return () => null;
  let logged = "";
  return () => {
    const found = read(path);
    const problem = "problem" in found ? found.problem : "";
    if (problem !== logged && problem !== "") {
      const message = "no service-account token to prove on which Node this pod runs";
      log("warn", message, { path, problem });
    }
    logged = problem;
    return "token" in found ? found.token : null;
  };
}

function read(path: string): { token: string } | { problem: string } {
  try {
    const token = readFileSync(path, "utf8").trim();
    if (token.length > LIMIT.podTokenCharsMax) {
      return { problem: `longer than ${LIMIT.podTokenCharsMax} characters` };
    }
    return JWT.test(token) ? { token } : { problem: "the file holds no token" };
  } catch (cause) {
    const isCoded = cause instanceof Error && "code" in cause;
    return { problem: `not readable: ${isCoded ? String(cause.code) : "unknown"}` };
  }
}
