/**
 * Keeps in the audit what the scripts of a `command` provider print, with secrets hidden: a script
 * runs with the control plane's environment, and what it prints is read by people.
 */
import { createMask } from "../../bootstrap/run/mask.ts";
import { RECONCILER } from "../../schema/audit.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { AuditTable } from "../core/store-table.ts";
import type { ScriptRecord } from "../provider/command/shell.ts";
import { actOf } from "../security/audit/act.ts";
import { Audit } from "../security/audit/audit.ts";

type From = {
  clock: Clock;
  log: Log;
  table: AuditTable;
  /** What scripts inherit. */
  env: Readonly<Record<string, string | undefined>>;
  /** What the control plane holds; read again for each run, because files are rotated. */
  secrets(): readonly string[];
};

/** Variables that a cloud's tools read their secrets from, such as AWS_SECRET_ACCESS_KEY. */
const SECRET_NAME = /TOKEN|SECRET|PASSW|CREDENTIAL|APIKEY|API_KEY|PRIVATE_KEY|ACCESS_KEY/i;
/** Shorter values (`true`, `1`) would hide half of the output. */
const SECRET_CHARS_MIN = 8;

export function openScriptRecord({ clock, log, table, env, secrets }: From): ScriptRecord {
  const audit = new Audit({ table, clock, log, actOf: (method) => actOf(method) });
  const inherited = Object.entries(env).flatMap(([name, value]) => {
    const isSecret = SECRET_NAME.test(name) && value !== undefined;
    return isSecret && value.length >= SECRET_CHARS_MIN ? [value] : [];
  });
  return {
    mask: (text) => createMask([...inherited, ...secrets()]).text(text),
    async keep({ provider, script, node, session, code, detail }) {
      await audit.done({
        at: clock.wallMs(),
        refused: code === "refused",
        who: RECONCILER,
        role: null,
        method: script.toUpperCase(),
        path: `provider/${provider}`,
        target: node ?? provider,
        code,
        status: 0,
        remote: "",
        request: session ?? "",
        verb: script,
        kind: "script",
        namespace: null,
        detail,
      });
    },
  };
}
