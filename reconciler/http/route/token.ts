/**
 * Tokens of people, and the credentials of nodes: create, list, rotate, revoke. A person's secret
 * is shown once; a node's never reaches a person.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { ROLES, type Credential, type TokenView } from "../../../schema/credential.ts";
import { NodeId } from "../../../schema/id.ts";
import { hashToken } from "../../security/auth.ts";
import { slugOf } from "../../security/audit/author.ts";
import { endBoth } from "../../core/fold/former-boot.ts";
import { emptyChange } from "../../core/store.ts";
import { iso, isoOrNull } from "../view/node.ts";
import { sharesKey } from "./agent.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { durationOf, eventBy, invalid, OfNode, readAsked, readQuery, Refusal } from "./request.ts";

/** A shorter life is a mistyped unit: it would end before the token is shown. */
const LIFE_MS_MIN = 1_000;

/** Prefix of the id of a node's credential. */
const NODE = "node:";

function viewToken(credential: Credential): TokenView {
  const { key } = credential;
  return {
    id: credential.id,
    role: credential.role,
    label: credential.label,
    node_id: credential.node,
    created_at: iso(credential.createdAt),
    created_by: credential.createdBy,
    expires_at: isoOrNull(credential.expiresAt),
    revoked_at: isoOrNull(credential.revokedAt),
    ...(key === undefined
      ? {}
      : {
          rotation: key.number,
          rotated_at: isoOrNull(key.at === 0 ? null : key.at),
          used_at: isoOrNull(key.usedAt),
        }),
  };
}

const NewToken = v.strictObject({
  role: v.picklist(ROLES, `role: expected one of ${ROLES.join(", ")}`),
  label: v.optional(v.pipe(v.string(), v.maxLength(128)), ""),
  expires_in: v.nullish(v.string(), null),
});

const SLUG_CHARS_MAX = 24;

/** `alice-KLm…`: audit, events and pages name a person by the id of the token alone. */
function idWith(label: string, id: string): string {
  const slug = slugOf(label).slice(0, SLUG_CHARS_MAX).replace(/-$/, "");
  return slug === "" ? id : `${slug}-${id}`;
}

async function create(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, NewToken);
  if (body.role === "node") {
    const given = "by its provider, by bootstrap or by a join token";
    return invalid(`role: a node is given its credential ${given}`);
  }
  const lifeMs = body.expires_in === null ? null : durationOf("expires_in", body.expires_in);
  if (lifeMs !== null && lifeMs < LIFE_MS_MIN) return invalid("expires_in: expected 1s or more");
  const secret = ports.newSecret();
  const credential: Credential = {
    id: idWith(body.label, ports.newId()),
    role: body.role,
    hash: hashToken(secret),
    node: null,
    label: body.label,
    createdAt: now,
    createdBy: by,
    expiresAt: lifeMs === null ? null : now + lifeMs,
    revokedAt: null,
  };
  c.set("target", credential.id);
  await save(ports, credential, "credential.created", by);
  return c.json({ ...viewToken(credential), token: secret }, 201);
}

async function revoke(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const by = c.get("principal").name;
  if (id.startsWith(NODE)) return revokeNode(c, ports, id.slice(NODE.length));
  const credential = ports.authority.get(id);
  if (credential === null) throw new Refusal("not_found", `no token ${id}`);
  const now = ports.clock.wallMs();
  const revoked: Credential = { ...credential, revokedAt: credential.revokedAt ?? now };
  await save(ports, revoked, "credential.revoked", by);
  return c.json(viewToken(revoked));
}

/**
 * Its agent is refused from the next report on. It keeps measuring, spools findings and retries
 * each minute, so it is back soon after a join token for that node readmits it.
 */
async function revokeNode(c: Context<Env>, ports: RoutePorts, name: string): Promise<Response> {
  const { node, keys } = nodeOf(name, ports);
  const by = c.get("principal").name;
  const credential = await keys.revoke(node, by);
  await record(ports, credential, "credential.revoked", by);
  return c.json(viewToken(credential));
}

async function rotate(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const id = c.req.param("id") ?? "";
  if (!id.startsWith(NODE)) {
    return invalid("not a node credential: create a new token, then revoke this one");
  }
  const { node, keys } = nodeOf(id.slice(NODE.length), ports);
  if (ports.authority.isRevoked(node)) {
    const message = `the credentials of ${node} are revoked: make a join token with --node ${node}`;
    throw new Refusal("conflict", message);
  }
  if (sharesKey(ports, node)) {
    const why = `two senders report as ${node}, and the first would get the new credential`;
    throw new Refusal("conflict", `${why}: ${endBoth(node)}`);
  }
  const by = c.get("principal").name;
  const credential = await keys.rotate(node, by);
  await record(ports, credential, "credential.created", by);
  return c.json(viewToken(credential));
}

/** A node of the fleet, or one that has a credential. */
function nodeOf(name: string, { authority, admission, reconciler }: RoutePorts) {
  const { success, output } = v.safeParse(NodeId, name);
  const isKnown = (node: NodeId) =>
    reconciler.fleet().nodes.has(node) || authority.ofNode(node) !== null;
  if (success && admission !== null && isKnown(output)) {
    return { node: output, keys: admission.keys };
  }
  throw new Refusal("not_found", `no node ${name}`);
}

async function save(
  ports: RoutePorts,
  credential: Credential,
  kind: "credential.created" | "credential.revoked",
  by: string,
): Promise<void> {
  await ports.store.saveCredential(credential);
  ports.authority.put(credential);
  await record(ports, credential, kind, by);
}

async function record(
  ports: RoutePorts,
  credential: Credential,
  kind: "credential.created" | "credential.revoked",
  by: string,
): Promise<void> {
  const label = credential.label === "" ? "no label" : credential.label;
  const rotation = credential.key === undefined ? "" : `, rotation ${credential.key.number}`;
  const message = `${credential.role} token ${credential.id} (${label}${rotation})`;
  const event = eventBy(by, { at: ports.clock.wallMs(), kind, node: credential.node, message });
  await ports.store.commit({ ...emptyChange(), events: [event] });
}

export const tokenRoutes: readonly Route<RoutePorts>[] = [
  // Nodes are many: their credentials are listed one node at a time, or once revoked.
  {
    at: "GET /v1/tokens",
    access: "admin",
    act: ["get", "token"],
    query: OfNode,
    says: "tokens of people; with `node`, the credential of a node",
    run: (c, ports) => {
      const { node = null } = readQuery(c, OfNode);
      const all = ports.authority.list();
      const wanted = all.filter((one) =>
        node === null ? one.role !== "node" || one.revokedAt !== null : one.node === node,
      );
      return c.json({ tokens: wanted.map(viewToken) });
    },
  },
  {
    at: "POST /v1/tokens",
    access: "admin",
    act: ["create", "token"],
    body: NewToken,
    status: [201],
    says: "create a token: body `role`, `label`, `expires_in`",
    run: (c, ports) => create(c, ports),
  },
  {
    at: "DELETE /v1/tokens/:id",
    access: "admin",
    act: ["revoke", "token"],
    says: "revoke a token",
    run: (c, ports) => revoke(c, ports),
  },
  {
    at: "POST /v1/tokens/:id/rotate",
    access: "admin",
    act: ["rotate", "token"],
    says: "rotate the credential `node:ID`",
    run: (c, ports) => rotate(c, ports),
  },
];
