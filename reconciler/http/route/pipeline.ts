/**
 * Runs of CI/CD pipelines: build servers report them with a signature, administrators read them.
 * The signature is GitHub's: HMAC-SHA256 of the body under a shared secret, in a header.
 *
 * Adapter: files.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Context } from "hono";
import * as v from "valibot";
import type { Pipeline, PipelineRow } from "../../../schema/console/pipeline.ts";
import { PipelineReport } from "../../../schema/console/pipeline.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { suggestForPipeline } from "../../core/console/pipeline.ts";
import { iso } from "../view/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { refuse, invalid, queryNumber, readBody, readQuery, Refusal } from "./request.ts";
import { remoteOf, TOO_MANY } from "./gate.ts";
import { parseInstant } from "../../../schema/instant.ts";

export const SIGNATURE = "x-hub-signature-256";
const SECRET_CHARS_MIN = 16;
/** A clock of a build server may be ahead. */
const AHEAD_MS = 3_600_000;
const LIST_DEFAULT = 100;

const ListQuery = v.object({ limit: queryNumber("expected a whole number from 1 on", 1) });

export async function readPipelines({ store }: RoutePorts, limit: number): Promise<Pipeline[]> {
  return (await store.pipelineTable().list(limit)).map(viewPipeline);
}

function viewPipeline({ report, receivedAt }: PipelineRow): Pipeline {
  return { ...report, receivedAt: iso(receivedAt), suggestions: suggestForPipeline(report) };
}

async function takePipeline(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  c.set("who", "pipeline");
  const secret = secretOf(ports);
  const body = Buffer.from(await c.req.arrayBuffer());
  if (!isSigned(body, c.req.header(SIGNATURE) ?? "", secret)) {
    c.set("who", "anonymous");
    const wait = ports.admission?.logins.failed(remoteOf(c)) ?? null;
    if (wait !== null) return refuse(c, "rate_limited", TOO_MANY, {}, wait);
    return refuse(c, "unauthenticated", `the signature in ${SIGNATURE} is absent or wrong`);
  }
  const report = await readBody(c, PipelineReport);
  const now = ports.clock.wallMs();
  c.set("target", report.id);
  if (parseInstant(report.startTime) > now + AHEAD_MS) {
    return invalid("startTime: is more than an hour ahead of this control plane's clock");
  }
  const saved = await ports.store.pipelineTable().save({ report, receivedAt: now });
  return c.json({ id: report.id, accepted: saved }, 202);
}

/** Read again each time, so that a new secret needs no restart. */
function secretOf({ reconciler, log }: RoutePorts): string {
  const path = reconciler.activeConfig().server.console.pipelineSecretFile;
  if (path === null) {
    const message = "no pipeline is accepted: set server.console.pipeline_secret_file";
    throw new Refusal("not_found", message);
  }
  const fail = (why: string): never => {
    log("error", "pipeline secret", { path, error: why });
    throw new Refusal("unavailable", "the secret of pipelines cannot be used; see the log");
  };
  try {
    const secret = readFileSync(path, "utf8").trim();
    if (secret.length >= SECRET_CHARS_MIN) return secret;
  } catch (error) {
    return fail(String(error));
  }
  return fail(`has fewer than ${SECRET_CHARS_MIN} characters`);
}

/** Whether the request carries a signature at all: without one its body is not read. */
export const maySign = ({ headers }: Request): boolean =>
  /^sha256=[0-9a-f]{64}$/.test(headers.get(SIGNATURE) ?? "");

function isSigned(body: Buffer, given: string, secret: string): boolean {
  const wanted = Buffer.from(`sha256=${createHmac("sha256", secret).update(body).digest("hex")}`);
  const found = Buffer.from(given);
  return found.length === wanted.length && timingSafeEqual(found, wanted);
}

/** For administrators, beside the console's other reads. */
export const pipelineRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /api/pipelines",
    access: "admin",
    isLeaders: true,
    query: ListQuery,
    says: "reported runs, newest first, with stages and suggestions; `limit`",
    run: async (c, ports) => {
      const { limit = LIST_DEFAULT } = readQuery(c, ListQuery);
      return c.json(await readPipelines(ports, Math.min(limit, LIMIT.pipelinesKeptMax)));
    },
  },
  // From whoever holds the secret; no token is asked for.
  {
    at: "POST /api/pipelines",
    access: "signature",
    act: ["report", "pipeline"],
    body: PipelineReport,
    says:
      "report a run of a CI/CD pipeline; no token, but `X-Hub-Signature-256` under " +
      "`server.console.pipeline_secret_file`; 202 with `accepted` ([console](console.md#pipelines))",
    run: takePipeline,
  },
];
