/** The configuration: what is in force, what another one would do, and its reload. */
import { countOf } from "../../../schema/article.ts";
import type { Context } from "hono";
import * as v from "valibot";
import type { ConfigDiffView, ReloadView } from "../../../schema/api-config.ts";
import { Config } from "../../../schema/config.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { POOLS_MAX } from "../../config/layer.ts";
import { formatConfig } from "../../config/secret.ts";
import { type Loaded, policyId, type Reloader } from "../../core/reload.ts";
import { viewConfigDiff } from "../view/config-diff.ts";
import { viewConfigStatus, viewReload } from "../view/config-status.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { readAsked, readBody, Refusal, sayIssue } from "./request.ts";

const Ask = v.strictObject({ allow_pool_removal: v.optional(v.boolean()) });
/**
 * A file has at most `LIMIT.configNodesMax` values, and defaults add 19 texts to each pool; secrets
 * are looked for in each.
 */
const TEXTS_MAX = 3 * LIMIT.configNodesMax;
/** Without `config`: the control plane's own files. */
const Compare = v.strictObject({ config: v.optional(v.unknown()) });

function reloaderOf({ reloader }: RoutePorts): Reloader {
  const found = reloader();
  if (found !== null) return found;
  throw new Refusal("unavailable", "this control plane does not reload its configuration");
}

/** What is not in force is an error; its details are the same as the answer's. */
function answerOf(view: ReloadView): ReloadView {
  const { outcome, problems } = view;
  if (outcome === "applied" || outcome === "unchanged") return view;
  const code = { refused: "conflict", invalid: "invalid_argument", failed: "internal" } as const;
  const first = problems[0] ?? "unknown reason";
  const more = problems.length > 1 ? ` (and ${countOf(problems.length - 1, "more problem")})` : "";
  throw new Refusal(code[outcome], `the running configuration stays: ${first}${more}`, view);
}

async function compare(c: Context<Env>, ports: RoutePorts): Promise<ConfigDiffView> {
  const { config } = await readBody(c, Compare);
  const reloader = ports.reloader();
  const running = reloader?.loaded().config ?? ports.reconciler.activeConfig();
  const fleet = ports.reconciler.fleet();
  if (config !== undefined) {
    // A body has room for 300,000 issues.
    const read = v.safeParse(Config, config, { abortEarly: true });
    if (!read.success) {
      const message = `config: ${sayIssue(read.issues[0])}: is navarch of another version?`;
      throw new Refusal("invalid_argument", message);
    }
    const why = whyTooMuch(read.output);
    if (why !== null) throw new Refusal("invalid_argument", `config: has more than ${why}`);
    return viewConfigDiff({ running, next: read.output, fleet });
  }
  const answer = await reloaderOf(ports).examine();
  if (!answer.ok) {
    const message = `the files of the control plane are wrong: ${answer.lines[0] ?? ""}`;
    throw new Refusal("invalid_argument", message, { problems: answer.lines });
  }
  const diff = viewConfigDiff({ running, next: answer.loaded.config, fleet });
  return { ...diff, policy: policyChange(reloaderOf(ports).loaded(), answer.loaded) };
}

/** What no file makes, as `1000 pools`; `null` = nothing. */
function whyTooMuch(config: Config): string | null {
  if (config.pools.length > POOLS_MAX) return `${POOLS_MAX} pools`;
  if (config.providers.length > POOLS_MAX) return `${POOLS_MAX} providers`;
  return textsIn(config) > TEXTS_MAX ? `${TEXTS_MAX} texts` : null;
}

function textsIn(value: unknown): number {
  if (typeof value !== "object" || value === null) return typeof value === "string" ? 1 : 0;
  return Object.values(value).reduce((sum: number, one) => sum + textsIn(one), 0);
}

function policyChange(running: Loaded, next: Loaded): ConfigDiffView["policy"] {
  const [before, after] = [running.policy.policy, next.policy.policy];
  return before.hash === after.hash ? null : { before: policyId(before), after: policyId(after) };
}

export const configRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/config",
    access: "viewer",
    says: "the active configuration, without secrets",
    run: (c, ports) => {
      const active = ports.reconciler.activeConfig();
      const config = ports.reloader()?.loaded().config ?? active;
      const hidesPrograms = !roleIncludes(c.get("principal").role, "operator");
      return c.body(formatConfig(config, hidesPrograms), 200, {
        "Content-Type": "application/json",
      });
    },
  },
  {
    at: "GET /v1/config/status",
    access: "viewer",
    says: "the files, whether they are in force, and why not",
    run: (c, ports) => c.json(viewConfigStatus(reloaderOf(ports), ports.reconciler)),
  },
  // Not for viewers: an equal value is told from another one, also where it is a secret.
  {
    at: "POST /v1/config/diff",
    access: "operator",
    act: ["diff", "configuration"],
    body: Compare,
    says: "what another configuration changes: `config`, or the files now",
    run: async (c, ports) => c.json(await compare(c, ports)),
  },
  {
    at: "POST /v1/config/reload",
    access: "admin",
    act: ["reload", "configuration"],
    body: Ask,
    says: "read the files again; `allow_pool_removal` ends nodes of gone pools",
    run: async (c, ports) => {
      const { body, by } = await readAsked(c, ports, Ask);
      if (body.allow_pool_removal === true) c.set("target", "pool removal");
      const reload = await reloaderOf(ports).reload(by, body.allow_pool_removal);
      return c.json(answerOf(viewReload(reload, reloaderOf(ports))));
    },
  },
];
