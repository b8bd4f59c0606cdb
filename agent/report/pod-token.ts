/**
 * The service-account token of the pod that the agent runs in. The kubelet replaces the file before
 * the token ends, so it is read again each time, and its content is kept nowhere.
 *
 * Adapter: the file system.
 */
import { readFileSync } from "node:fs";
import { LIMIT } from "../../schema/limit.ts";
import type { Log } from "./part.ts";

/** The compact form of a signed JWT (RFC 7515 §3.1). */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** `null` without a file; one that holds no token is told once, until it does. */
export function openPodToken(path: string | null, log: Log): () => string | null {
  if (path === null) return () => null;
  let told = "";
  return () => {
    const found = read(path);
    const problem = "problem" in found ? found.problem : "";
    if (problem !== told && problem !== "") {
      log("warn", "no service-account token to prove on which Node this pod runs", {
        path,
        problem,
      });
    }
    told = problem;
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
