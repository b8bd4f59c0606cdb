/**
 * What a failed call of EC2 proves, by the code of its answer (docs/reference/aws.md#errors); the
 * HTTP status and the message decide nothing. Pure.
 */
import type { Millis } from "../../../schema/millis.ts";
export type FailureClass =
  | "bad_request"
  | "capacity"
  | "quota"
  | "rate_limit"
  | "auth"
  | "billing"
  /** The machine is not in a state for the call; later it may be. */
  | "conflict"
  | "not_found"
  /** The token was used with other parameters, so an instance may exist. */
  | "mismatch"
  /** The token's instance is terminated. */
  | "spent"
  /** A dry run that would have succeeded. */
  | "dry_run"
  /** Nothing was sent, for want of a connection or credentials. */
  | "unsent"
  /** It may have been accepted. */
  | "unknown";

export type Failed = {
  kind: "failed";
  class: FailureClass;
  /** The cloud's code; `null` = it gave none. */
  code: string | null;
  message: string;
  retryAfterMs: Millis | null;
};

/** Exact codes first, then beginnings and ends. */
const EXACT: Readonly<Record<string, FailureClass>> = {
  IdempotentParameterMismatch: "mismatch",
  IdempotentInstanceTerminated: "spent",
  DryRunOperation: "dry_run",
  // The zone or the type cannot do it at all: another place can.
  Unsupported: "bad_request",
  UnsupportedOperation: "bad_request",
  OperationNotPermitted: "bad_request",
  MalformedQueryString: "bad_request",
  UnknownParameter: "bad_request",
  ValidationError: "bad_request",
  ReservationCapacityExceeded: "capacity",
  UnfulfillableCapacity: "capacity",
  SpotMaxPriceTooLow: "capacity",
  MaxSpotInstanceCountExceeded: "quota",
  MaxFleetCountExceeded: "quota",
  RequestLimitExceeded: "rate_limit",
  EC2ThrottledException: "rate_limit",
  Throttling: "rate_limit",
  ThrottlingException: "rate_limit",
  TooManyRequestsException: "rate_limit",
  ConcurrentTagAccess: "rate_limit",
  UnauthorizedOperation: "auth",
  AccessDenied: "auth",
  AccessDeniedException: "auth",
  AuthFailure: "auth",
  IncompleteSignature: "auth",
  SignatureDoesNotMatch: "auth",
  InvalidClientTokenId: "auth",
  UnrecognizedClientException: "auth",
  MissingAuthenticationToken: "auth",
  RequestExpired: "auth",
  ExpiredToken: "auth",
  ExpiredTokenException: "auth",
  InvalidIdentityToken: "auth",
  IDPRejectedClaim: "auth",
  Blocked: "billing",
  OptInRequired: "billing",
  PendingVerification: "billing",
  IncorrectInstanceState: "conflict",
  IncorrectState: "conflict",
  "InvalidInstanceID.NotFound": "not_found",
  // An id of another shape names no instance either.
  "InvalidInstanceID.Malformed": "not_found",
};

export function classOf(code: string): FailureClass {
  if (Object.hasOwn(EXACT, code)) return EXACT[code] ?? "unknown";
  if (code.startsWith("AuthFailure.")) return "auth";
  if (/^Insufficient\w*(Capacity|InSubnet)$/.test(code)) return "capacity";
  if (code.endsWith("LimitExceeded")) return "quota";
  if (/^(Invalid|Missing)/.test(code)) return "bad_request";
  return "unknown";
}

export function failed(cls: FailureClass, message: string, code: string | null = null): Failed {
  return { kind: "failed", class: cls, code, message, retryAfterMs: null };
}

/** Credentials that another reading of their source may replace. */
export function isStaleKey({ class: cls, code }: Failed): boolean {
  return cls === "auth" && code !== "UnauthorizedOperation" && !code?.startsWith("AccessDenied");
}
