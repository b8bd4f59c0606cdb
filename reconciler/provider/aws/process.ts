/**
 * Keys that a program prints, `credential_process` of a profile: without a shell, with a time
 * limit. What it prints is a secret, and is in no message.
 *
 * Adapter: starts the program.
 */
import * as v from "valibot";
import type { Clock } from "../../core/clock.ts";
import { passedOn, runProgram } from "../../program/program.ts";
import { type Failed, failed } from "./failure.ts";
import { type Found, found } from "./found.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** A program that waits for a person, as with a browser, cannot serve a service. */
const RUN_MS = 30_000;

const date = v.pipe(
  v.string(),
  v.check((text) => !Number.isNaN(parseInstant(text))),
);
const Printed = v.object({
  Version: v.literal(1),
  AccessKeyId: v.string(),
  SecretAccessKey: v.string(),
  SessionToken: v.nullish(v.string(), null),
  Expiration: v.nullish(date, null),
});

/** A key without `Expiration` is used until the cloud refuses it, as AWS's tools do. */
export async function processKey(
  argv: readonly string[],
  source: string,
  { env, clock }: { env: Readonly<Record<string, string | undefined>>; clock: Clock },
): Promise<Found | Failed> {
  const no = (cls: "auth" | "unsent", why: string): Failed =>
    failed(cls, `${source}: credential_process ${argv[0]}: ${why}`);
  const ran = await runProgram({ argv, env: passedOn(env), timeoutMs: RUN_MS, clock }, "");
  if (ran.kind === "failed") return no(ran.isUnstarted ? "auth" : "unsent", ran.why);
  const remedy = "run it by hand as the control plane's user";
  if (ran.status !== 0) return no("unsent", `exit status ${ran.status} (${remedy})`);
  const read = v.safeParse(v.pipe(v.string(), v.parseJson(), Printed), ran.output);
  if (!read.success) {
    const at = v.getDotPath(read.issues[0]) ?? "its whole";
    return no("auth", `expected AWS's JSON of version 1, not so at ${at} (${remedy})`);
  }
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = read.output;
  const endsMs = Expiration === null ? Number.POSITIVE_INFINITY : parseInstant(Expiration);
  if (endsMs <= clock.wallMs()) {
    return no("auth", `its key ended at ${new Date(endsMs).toISOString()} (${remedy})`);
  }
  const key = { accessKeyId: AccessKeyId, secretKey: SecretAccessKey, sessionToken: SessionToken };
  return found(key, source, endsMs);
}
