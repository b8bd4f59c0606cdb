/**
 * The embedded migrations in order. A released one is never edited: its tag is in users' databases.
 */
import init from "./0000_init.sql" with { type: "text" };
import lease from "./0001_lease.sql" with { type: "text" };
import identity from "./0002_identity.sql" with { type: "text" };
import bootstrap from "./0003_bootstrap.sql" with { type: "text" };
import quarantine from "./0004_quarantine.sql" with { type: "text" };
import claim from "./0005_claim.sql" with { type: "text" };
import auditVerb from "./0006_audit_verb.sql" with { type: "text" };
import auditMark from "./0007_audit_mark.sql" with { type: "text" };
import agentpool from "./0008_agentpool.sql" with { type: "text" };
import task from "./0009_task.sql" with { type: "text" };
import pipeline from "./0010_pipeline.sql" with { type: "text" };
import cordonCause from "./0011_cordon_cause.sql" with { type: "text" };

export type Migration = { tag: string; sql: string };

export const MIGRATIONS: readonly Migration[] = [
  { tag: "0000_init", sql: init },
  { tag: "0001_lease", sql: lease },
  { tag: "0002_identity", sql: identity },
  { tag: "0003_bootstrap", sql: bootstrap },
  { tag: "0004_quarantine", sql: quarantine },
  { tag: "0005_claim", sql: claim },
  { tag: "0006_audit_verb", sql: auditVerb },
  { tag: "0007_audit_mark", sql: auditMark },
  { tag: "0008_agentpool", sql: agentpool },
  { tag: "0009_task", sql: task },
  { tag: "0010_pipeline", sql: pipeline },
  { tag: "0011_cordon_cause", sql: cordonCause },
];
