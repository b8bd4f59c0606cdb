/**
 * Signed orders. The control plane signs each order with its Ed25519 key (RFC 8032), whose
 * fingerprint the agent knows from its enrolment. The signature covers node, command, parameters,
 * fence and expiry, so that a captured order is useless for another node or later. Pure.
 */
import * as v from "valibot";
import { count, instant } from "./number.ts";

const short = (max: number) => v.pipe(v.string(), v.maxLength(max));
/** SubjectPublicKeyInfo (RFC 8410), base64 on one line: 60 characters for Ed25519. */
const publicKey = short(128);
/** 64 bytes, base64: 88 characters. */
const signature = short(128);

export const OrderSignature = v.object({
  key: publicKey,
  /** Wall milliseconds. */
  expires_at: instant,
  value: signature,
});
export type OrderSignature = v.InferOutput<typeof OrderSignature>;

/** The control plane's key, and its older keys that vouch for it after a rotation. */
export const ShownKey = v.object({
  key: publicKey,
  vouched: v.nullish(
    v.pipe(v.array(v.object({ by: publicKey, value: signature })), v.maxLength(4)),
    [],
  ),
});
export type ShownKey = v.InferOutput<typeof ShownKey>;

/** How an agent came to know the key, strongest first. */
export const KEY_SOURCES = ["enrolment", "join token", "tls", "first use"] as const;
export type KeySource = (typeof KEY_SOURCES)[number];

/** How an agent reaches and trusts the control plane. */
export const AgentTrust = v.object({
  /** `https`, `http`, or `loopback` for http that does not leave the machine. */
  transport: short(16),
  /** Fingerprint of the key whose orders it carries out; `null` = none is known yet. */
  key: v.nullish(short(80), null),
  /** One of `KEY_SOURCES`, or a newer agent's word. */
  source: v.nullish(short(32), null),
  /** Unproven orders refused since its state folder exists. */
  refused: v.nullish(count, 0),
  last_refusal: v.nullish(short(300), null),
});
export type AgentTrust = v.InferOutput<typeof AgentTrust>;

/** How long an order may be carried out. Agents' clocks must be right within this. */
export const ORDER_LIFE_MS = 30 * 60_000;
/** A later expiry means that one of the clocks is wrong. */
export const ORDER_LIFE_MAX_MS = 24 * 3_600_000;

export type Signed = {
  node: string;
  command_id: string;
  type: string;
  parameters: Readonly<Record<string, string>>;
  fence: number;
  expires_at: number;
};

/** The signed text. Its prefix separates it from other texts of the same key. */
export function orderText(order: Signed): string {
  const { node, command_id, type, fence, expires_at } = order;
  const byName = ([a]: [string, string], [b]: [string, string]) => (a < b ? -1 : a > b ? 1 : 0);
  const parameters = Object.entries(order.parameters).sort(byName);
  return JSON.stringify([
    "navarch order v1",
    ...[node, command_id, type, fence, expires_at],
    parameters,
  ]);
}

/** The text with which an older key vouches for this fingerprint. */
export function vouchText(fingerprint: string): string {
  return JSON.stringify(["navarch key v1", fingerprint]);
}

/** A count of agents, and the first names. */
export type AgentsView = { count: number; nodes: string[] };

/** `GET /v1/trust`. */
export type TrustView = {
  /** Fingerprint of the key that signs orders and releases here; `null` = nothing is signed. */
  key: string | null;
  /** The control plane itself speaks TLS. */
  tls: boolean;
  agents: number;
  /** Plain http that leaves the machine. */
  without_tls: AgentsView;
  /** Agents that predate signed orders and cannot verify them. */
  unverified: AgentsView;
  /** The key came over plain http with the first reply. */
  first_use: AgentsView;
  /** Agents with another key, which refuse every order. */
  other_key: AgentsView;
  /** Unproven orders that agents refused. */
  refused: { orders: number; nodes: { node_id: string; orders: number; last: string | null }[] };
};
