/** Events, plan, configuration, policy, tokens, version (`navarch/api.md` B5, B6). */
import * as v from "valibot";
import type { EventView, TokenView } from "../../schema/api.ts";
import { ROLES, type Credential } from "../../schema/credential.ts";
import { parseDuration } from "../../schema/duration.ts";
import type { Event } from "../../schema/event.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../../schema/version.ts";
import { hashToken } from "../auth.ts";
import { printConfig } from "../config/print.ts";
import { emptyChange } from "../store/store.ts";
import { viewPlan } from "../view/explain.ts";
import { iso, isoOrNull } from "../view/node.ts";
import { needs, readBody, refuse, type App, type RoutePorts } from "./app.ts";

function viewEvent(event: Event): EventView {
  return {
    id: event.id,
    at: iso(event.at),
    kind: event.kind,
    node_id: event.node,
    pool: event.pool,
    session_id: event.session,
    actor: event.actor,
    message: event.message,
  };
}

function viewToken(credential: Credential): TokenView {
  return {
    id: credential.id,
    role: credential.role,
    label: credential.label,
    node_id: credential.node,
    created_at: iso(credential.createdAt),
    created_by: credential.createdBy,
    expires_at: isoOrNull(credential.expiresAt),
    revoked_at: isoOrNull(credential.revokedAt),
  };
}

const NewToken = v.strictObject({
  role: v.picklist(ROLES, `role: expected one of ${ROLES.join(", ")}`),
  label: v.optional(v.pipe(v.string(), v.maxLength(128)), ""),
  expires_in: v.nullish(v.string(), null),
});

export function adminRoutes(api: App, ports: RoutePorts): void {
  api.get("/events", needs("viewer"), async (c) => {
    const q = c.req.query();
    const number = (name: string): number | null =>
      q[name] === undefined ? null : Number(q[name]);
    const since = q["since"] === undefined ? null : Date.parse(q["since"]);
    const limit = Math.min(number("limit") ?? 200, 1_000);
    if (since !== null && Number.isNaN(since))
      return refuse(c, "invalid_argument", "since: expected an RFC 3339 time");
    for (const [name, value] of [
      ["after", number("after")],
      ["limit", limit],
    ] as const) {
      if (value !== null && (!Number.isInteger(value) || value < 0)) {
        return refuse(c, "invalid_argument", `${name}: expected a whole number`);
      }
    }
    const after = number("after");
    const events = await ports.store.events({
      node: q["node"] ?? null,
      pool: q["pool"] ?? null,
      since,
      after,
      limit,
    });
    const last = events[events.length - 1]?.id ?? after ?? 0;
    return c.json({ events: events.map(viewEvent), next: last });
  });
  api.get("/plan", needs("viewer"), (c) => {
    const sight = ports.reconciler.lastSight();
    return c.json(
      viewPlan(ports.reconciler.lastPlan(), sight?.blind ?? [], sight?.frozen ?? null),
    );
  });
  api.get("/config", needs("viewer"), (c) =>
    c.body(printConfig(ports.reconciler.activeConfig()), 200, {
      "Content-Type": "application/json",
    }),
  );
  api.get("/policy", needs("viewer"), (c) => {
    const { policy } = ports.reconciler.activePolicy();
    const rules = policy.rules.map((rule) => ({
      ...rule,
      matches: ports.metrics.matchCount(rule.name),
    }));
    return c.json({ name: policy.name, version: policy.version, hash: policy.hash, rules });
  });
  api.get("/whoami", (c) => {
    const { role, name, shared } = c.get("principal");
    return c.json({ role, name, shared });
  });
  api.get("/version", needs("viewer"), (c) =>
    c.json({
      version: VERSION,
      commit: COMMIT,
      build_date: BUILD_DATE,
      runtime: `bun ${Bun.version}`,
      platform: `${process.platform}-${process.arch}`,
    }),
  );
  tokenRoutes(api, ports);
}

function tokenRoutes(api: App, ports: RoutePorts): void {
  api.get("/tokens", needs("admin"), (c) =>
    c.json({ tokens: ports.authority.list().map(viewToken) }),
  );
  api.post("/tokens", needs("admin"), async (c) => {
    const body = await readBody(c, NewToken);
    if (!body.ok) return body.response;
    if (body.value.role === "node") {
      return refuse(
        c,
        "invalid_argument",
        "role: a node is given its credential by its provider or bootstrap, not by hand",
      );
    }
    const now = ports.clock.wallMs();
    const life = body.value.expires_in === null ? null : parseDuration(body.value.expires_in);
    if (life !== null && !life.ok)
      return refuse(c, "invalid_argument", `expires_in: ${life.message}`);
    const secret = ports.newSecret();
    const credential: Credential = {
      id: ports.newId(),
      role: body.value.role,
      hash: hashToken(secret),
      node: null,
      label: body.value.label,
      createdAt: now,
      createdBy: c.get("principal").name,
      expiresAt: life === null ? null : now + life.ms,
      revokedAt: null,
    };
    await save(ports, credential, "credential.created", c.get("principal").name);
    return c.json({ ...viewToken(credential), token: secret }, 201);
  });
  api.delete("/tokens/:id", needs("admin"), async (c) => {
    const id = c.req.param("id") ?? "";
    const credential = ports.authority.get(id);
    if (credential === null) return refuse(c, "not_found", `no token ${id}`);
    const revoked: Credential = {
      ...credential,
      revokedAt: credential.revokedAt ?? ports.clock.wallMs(),
    };
    await save(ports, revoked, "credential.revoked", c.get("principal").name);
    return c.json(viewToken(revoked));
  });
}

async function save(
  ports: RoutePorts,
  credential: Credential,
  kind: "credential.created" | "credential.revoked",
  by: string,
): Promise<void> {
  await ports.store.saveCredential(credential);
  ports.authority.put(credential);
  const label = credential.label === "" ? "no label" : credential.label;
  const message = `${credential.role} token ${credential.id} (${label})`;
  const event = {
    at: ports.clock.wallMs(),
    kind,
    node: null,
    pool: null,
    session: null,
    actor: `human:${by}`,
    message,
  };
  await ports.store.commit({ ...emptyChange(), events: [event] });
}
