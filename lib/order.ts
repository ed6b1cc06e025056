/**
 * The contract: what an order is on the wire, as a type, as a JSON Schema document and as a check.
 *
 * {@link OrderSchema} says what one field can say of itself. Three rules bind several fields, and no
 * JSON Schema can say them; they are checked here too, each within one cent:
 *
 *     total_price = quantity x unit_price          of every item
 *     sub_total   = the sum of the items' total_price
 *     total       = sub_total + tax + shipping_fee
 *
 * The check is lenient where the contract has no rule: a field that only informs may be absent, and a
 * field that the schema does not know is kept. What a rule speaks of must be there.
 *
 * @module
 */

import { isUtf8 } from "node:buffer";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { Settings } from "typebox/system";
import { createScanner } from "./json_scan.ts";
import { withinOneCent } from "./money.ts";
import {
  isSurelyEmail,
  isSurelyNotBlank,
  isSurelyUuid,
  isSurelyVersion,
} from "./order_patterns.ts";

/** The version of the contract that new orders carry. Any `1.x` is read, see {@link OrderSchema}. */
export const ORDER_VERSION = "1.1";

/** At most so many failures of one order are collected: a message can hold a million bad items. */
export const FAILURES_MAX = 1_000;

/** {@link describeFailures} names at most so many failures ... */
const DESCRIBED_FAILURES_MAX = 10;
/** ... and its line is at most so many characters long. */
const DESCRIPTION_LENGTH_MAX = 1_000;
/** A value of a message is quoted up to so many characters. */
const QUOTED_LENGTH_MAX = 40;
/** The JSON parser's own message quotes the text; so much of it is kept. */
const PARSE_ERROR_LENGTH_MAX = 200;

const NOT_BLANK_PATTERN = "\\S";
const UUID_PATTERN = "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$";
const VERSION_PATTERN = "^1(?:\\.[0-9]+)*$";
// Nothing, or one @ with text before it and a host name after it. It takes internationalized
// addresses, and leaves out quoted local parts. No part can match in two ways, so it is linear.
const EMAIL_PATTERN =
  '^(?:[^\\s@<>()\\[\\]\\\\,;:"\\x00-\\x1f\\x7f]+@[^\\s@.<>()\\[\\]\\\\,;:"\\x00-\\x1f\\x7f]+(?:\\.[^\\s@.<>()\\[\\]\\\\,;:"\\x00-\\x1f\\x7f]+)*)?$';

const notBlank = (description: string) => Type.String({ pattern: NOT_BLANK_PATTERN, description });

const optionalText = (description: string) => Type.Optional(Type.String({ description }));

const positiveInteger = (description: string) =>
  Type.Integer({ exclusiveMinimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });

const ItemSchema = Type.Object({
  item_id: notBlank("The product's id."),
  item_name: notBlank("The product's name."),
  quantity: positiveInteger("How many were ordered: above 0."),
  unit_price: Type.Number({ minimum: 0, description: "The price of one, 0 or more." }),
  total_price: Type.Number({ description: "quantity x unit_price, within 0.01." }),
}, { description: "One line of the order." });

const MetadataSchema = Type.Object({
  timestamp: optionalText("When the order was made, ISO 8601 in UTC. Not checked: it informs."),
  version: Type.Optional(Type.String({
    pattern: VERSION_PATTERN,
    description:
      "The contract's version. Every 1.x is read, for it only adds fields; another major " +
      "version is refused. Absent counts as 1: such an order is older than the field.",
  })),
  event_type: optionalText("What happened: order.created. Not checked: it informs."),
  source: optionalText("Who says so: producer-service. Not checked: it informs."),
  correlation_id: optionalText("A UUID that follows the order. Not checked: it informs."),
}, { description: "About the message rather than the order." });

const CustomerInfoSchema = Type.Object({
  customer_id: notBlank("The customer's id; records are keyed by it."),
  name: notBlank("The customer's full name."),
  email: Type.Optional(Type.String({
    pattern: EMAIL_PATTERN,
    description: "An e-mail address, or empty where there is none.",
  })),
  phone: optionalText("A telephone number, in any form."),
  address: optionalText("Where the customer lives, on one line."),
  loyalty_level: optionalText("bronze, silver, gold, platinum, or another shop's level."),
}, { description: "The customer as known when the order was made." });

const InventoryStatusSchema = Type.Object({
  item_id: optionalText("The product's id."),
  item_name: optionalText("The product's name."),
  available_qty: Type.Optional(Type.Integer({ description: "Left for the next order." })),
  reserved_qty: Type.Optional(Type.Integer({ description: "Held for orders not yet sent." })),
  unit_price: Type.Optional(Type.Number({ description: "The catalogue's price of one." })),
  in_stock: Type.Optional(Type.Boolean({ description: "Whether any is available." })),
  warehouse: optionalText("Which warehouse this counts: PARIS-01."),
}, { description: "The stock of one product, after this order." });

const Schema = Type.Object({
  order_id: Type.String({ pattern: UUID_PATTERN, description: "A UUID, of any version and case." }),
  sequence: positiveInteger(
    "The producer's own counter, above 0 and gap-free within one run. Refused past 2^53 - 1, where " +
      "a JSON number is no longer read exactly.",
  ),
  status: notBlank("Where the order stands: pending when created."),
  items: Type.Array(ItemSchema, { minItems: 1, description: "What was ordered: 1 line or more." }),
  sub_total: Type.Number({ description: "The sum of the items' total_price, within 0.01." }),
  tax: Type.Optional(Type.Number({ description: "Absent counts as 0." })),
  shipping_fee: Type.Optional(Type.Number({ description: "Absent counts as 0." })),
  total: Type.Number({ description: "sub_total + tax + shipping_fee, within 0.01." }),
  currency: optionalText("An ISO 4217 code: EUR. Not checked: it informs."),
  payment_method: optionalText("credit_card, or another. Not checked: it informs."),
  shipping_address: optionalText("Where the goods go, on one line."),
  metadata: Type.Optional(MetadataSchema),
  customer_info: CustomerInfoSchema,
  inventory_status: Type.Optional(
    Type.Unsafe<Static<typeof InventoryStatusSchema>[] | null>({
      type: ["array", "null"],
      items: InventoryStatusSchema,
      description: "The stock after this order. It may be null: so Go writes an empty list.",
    }),
  ),
}, {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: "urn:orderflow:order:1",
  title: "Order",
  description: "An order of the shop, the value of a record on the topic orders. Amounts are " +
    "decimals. Fields that are not named here are allowed and kept.",
});

/**
 * An order as JSON Schema (draft 2020-12); `JSON.stringify(OrderSchema)` is the document to publish.
 * Which decisions it takes where the contract leaves one open stands in its descriptions.
 */
export const OrderSchema: Readonly<Record<string, unknown>> = { ...Schema };

/** An order; what {@link validateOrder} finds no failure in. What a field may hold stands in {@link OrderSchema}. */
export interface Order {
  /** A UUID. */
  readonly order_id: string;
  /** The producer's own counter, above 0. */
  readonly sequence: number;
  /** Where the order stands: `pending` when created. */
  readonly status: string;
  /** One line or more. */
  readonly items: readonly OrderItem[];
  /** The sum of the items' `total_price`. */
  readonly sub_total: number;
  /** Absent counts as 0. */
  readonly tax?: number;
  /** Absent counts as 0. */
  readonly shipping_fee?: number;
  /** `sub_total + tax + shipping_fee`, within 0.01. */
  readonly total: number;
  /** ISO 4217. */
  readonly currency?: string;
  /** `credit_card`, or another. */
  readonly payment_method?: string;
  /** Where the goods go, on one line. */
  readonly shipping_address?: string;
  /** About the message rather than the order. */
  readonly metadata?: OrderMetadata;
  /** The customer as known when the order was made. */
  readonly customer_info: CustomerInfo;
  /** The stock of what was ordered, after this order. */
  readonly inventory_status?: readonly InventoryStatus[] | null;
}

/** One line of an order. */
export interface OrderItem {
  /** The product's id. */
  readonly item_id: string;
  /** The product's name. */
  readonly item_name: string;
  /** Above 0. */
  readonly quantity: number;
  /** The price of one, 0 or more. */
  readonly unit_price: number;
  /** `quantity x unit_price`, within 0.01. */
  readonly total_price: number;
}

/** What an order says of its message. */
export interface OrderMetadata {
  /** When the order was made, ISO 8601 in UTC. */
  readonly timestamp?: string;
  /** The contract's version, `1.x`; absent counts as 1. */
  readonly version?: string;
  /** `order.created`. */
  readonly event_type?: string;
  /** Who made it: `producer-service`. */
  readonly source?: string;
  /** A UUID that follows the order. */
  readonly correlation_id?: string;
}

/** The customer as an order carries it. */
export interface CustomerInfo {
  /** Records are keyed by it. */
  readonly customer_id: string;
  /** In full. */
  readonly name: string;
  /** Empty where there is none. */
  readonly email?: string;
  /** In any form. */
  readonly phone?: string;
  /** On one line. */
  readonly address?: string;
  /** `bronze`, `silver`, `gold`, `platinum`, or another shop's level. */
  readonly loyalty_level?: string;
}

/** The stock of one product as an order carries it. */
export interface InventoryStatus {
  /** The product's id. */
  readonly item_id?: string;
  /** The product's name. */
  readonly item_name?: string;
  /** Left for the next order. */
  readonly available_qty?: number;
  /** Held for orders not yet sent. */
  readonly reserved_qty?: number;
  /** The catalogue's price of one. */
  readonly unit_price?: number;
  /** Whether any is available. */
  readonly in_stock?: boolean;
  /** Which warehouse this counts. */
  readonly warehouse?: string;
}

type Immutable<T> = T extends readonly (infer Element)[] ? readonly Immutable<Element>[]
  : T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> }
  : T;
type Same<One, Other> = [One] extends [Other] ? [Other] extends [One] ? true : never : never;
/** Does not compile where the type and the schema say different things. */
const TYPE_IS_SCHEMA: Same<Order, Immutable<Static<typeof Schema>>> = true;
void TYPE_IS_SCHEMA;

/** The names of the rules; a dead letter's reason and a test say which one failed. */
export type OrderRule =
  /** The value has another JSON type, or is a number too large to be one (1e999). */
  | "type"
  /** A field that a rule speaks of is absent. */
  | "required"
  | "not-blank"
  | "uuid"
  | "email"
  /** Another major version of the contract than 1. */
  | "version"
  | "positive-sequence"
  | "positive-quantity"
  | "not-negative"
  /** Past 2^53 - 1, where a JSON number is no longer read exactly. */
  | "safe-integer"
  | "at-least-one-item"
  | "item-total"
  | "sub-total"
  | "total"
  /** The schema refuses the order for a reason without a name of its own. */
  | "schema";

/** One rule that an order breaks. */
export interface OrderFailure {
  /** Where, as jq writes it without the leading dot: `items[0].quantity`; empty for the order itself. */
  readonly path: string;
  /** Which one. */
  readonly rule: OrderRule;
  /** What would be right, in words. */
  readonly expected: string;
  /** The value seen, cut to a sane length; text is quoted but not yet safe for a terminal. */
  readonly actual: string;
}

/** What a message's text turned out to be. */
export type OrderJudgement =
  | { readonly kind: "order"; readonly order: Order }
  /** The text does not deserialize to an object. */
  | { readonly kind: "not-json" | "not-an-object"; readonly error: string }
  /** It deserialized, and breaks rules. */
  | {
    readonly kind: "invalid";
    readonly value: unknown;
    readonly failures: readonly OrderFailure[];
  };

const CHECK = Compile(Schema);
const NO_FAILURES: readonly OrderFailure[] = Object.freeze([]);

/**
 * Every rule that the value breaks, the schema's first and then the sums; none for a valid order.
 * A sum is judged wherever its parts are numbers, whatever else is wrong. Never throws on a value that
 * JSON.parse made; collects at most {@link FAILURES_MAX}.
 *
 * A valid order costs less than a microsecond; an invalid one some 70, as it is looked at again, field by
 * field. 3 MB of bad items take 0.4 s.
 */
export function validateOrder(value: unknown): readonly OrderFailure[] {
  if (CHECK.Check(value) && sumsAgree(value)) return NO_FAILURES;
  const failures = [...schemaFailures(value), ...sumFailures(value)];
  // What was refused must not pass for want of a reason.
  if (failures.length === 0) {
    failures.push(failure("", "schema", "an order of the published schema", value));
  }
  return failures.slice(0, FAILURES_MAX);
}

/** Deserializes the text of a message and validates the order. Never throws. */
export function judgeOrderText(text: string): OrderJudgement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: "not-json", error: cut(reason, PARSE_ERROR_LENGTH_MAX) };
  }
  if (!isFields(value)) {
    return { kind: "not-an-object", error: `expected a JSON object, got ${describeValue(value)}` };
  }
  const failures = validateOrder(value);
  return failures.length === 0
    // The one parse boundary: no failure is what makes a value an order.
    ? { kind: "order", order: value as unknown as Order }
    : { kind: "invalid", value, failures };
}

/**
 * The failures on one line for a log or a dead letter: at most 10 of them and 1,000 characters, and how
 * many more there are. It quotes the message; a terminal needs it made printable first.
 */
export function describeFailures(failures: readonly OrderFailure[]): string {
  const lengthMax = DESCRIPTION_LENGTH_MAX - `; and ${failures.length} more`.length;
  let line = "";
  let described = 0;
  for (const failure of failures.slice(0, DESCRIBED_FAILURES_MAX)) {
    const part = (described === 0 ? "" : "; ") + describeFailure(failure);
    if (line.length + part.length > lengthMax) break;
    line += part;
    described++;
  }
  const left = failures.length - described;
  return left === 0 ? line : `${line}; and ${left} more`;
}

function describeFailure({ path, rule, expected, actual }: OrderFailure): string {
  return `${path === "" ? "order" : path} (${rule}): expected ${expected}, got ${actual}`;
}

/** What the sums are made of. */
type OrderAmounts = Pick<Order, "sub_total" | "tax" | "shipping_fee" | "total"> & {
  readonly items: readonly Pick<OrderItem, "quantity" | "unit_price" | "total_price">[];
};

const scanAmounts = createScanner(Schema, {
  keeps: new Set([
    ...["items", "quantity", "unit_price", "total_price"],
    ...["sub_total", "tax", "shipping_fee", "total"],
  ]),
  sureMatches: new Map([
    [NOT_BLANK_PATTERN, isSurelyNotBlank],
    [UUID_PATTERN, isSurelyUuid],
    [VERSION_PATTERN, isSurelyVersion],
    [EMAIL_PATTERN, isSurelyEmail],
  ]),
});

/**
 * Whether a message is an order without a failure, told by its bytes. True is what {@link judgeOrderText}
 * would say too; false says nothing: an order that is written in a rare way has to be parsed. Never throws.
 *
 * Costs three fifths of decoding and {@link judgeOrderText}, and makes no object of the order.
 */
export function isSurelyOrder(value: Uint8Array): boolean {
  // The one parse boundary beside judgeOrderText: what the scan keeps has the schema's types.
  const amounts = isUtf8(value) ? scanAmounts(value) as OrderAmounts | undefined : undefined;
  return amounts !== undefined && sumsAgree(amounts);
}

// The sums of a value whose types are known to be right. sumFailures says the same of any value.
function sumsAgree(order: OrderAmounts): boolean {
  let subTotal = 0;
  for (const item of order.items) {
    if (!withinOneCent(item.total_price, item.quantity * item.unit_price)) return false;
    subTotal += item.total_price;
  }
  return withinOneCent(order.sub_total, subTotal) &&
    withinOneCent(order.total, order.sub_total + (order.tax ?? 0) + (order.shipping_fee ?? 0));
}

function sumFailures(order: unknown): OrderFailure[] {
  if (!isFields(order)) return [];
  const failures: OrderFailure[] = [];
  const expectSum = (path: string, rule: OrderRule, amount: number, sum: number, of: string) => {
    if (withinOneCent(amount, sum)) return;
    failures.push(failure(path, rule, `${of} = ${formatAmount(sum)} within 0.01`, amount));
  };

  const items: readonly unknown[] = Array.isArray(order["items"]) ? order["items"] : [];
  let subTotal: number | undefined = 0;
  for (const [index, item] of items.entries()) {
    const { quantity, unit_price: unitPrice, total_price: totalPrice }: Fields = isFields(item)
      ? item
      : {};
    if (!isNumber(totalPrice)) {
      subTotal = undefined;
      continue;
    }
    if (subTotal !== undefined) subTotal += totalPrice;
    if (isNumber(quantity) && isNumber(unitPrice) && failures.length < FAILURES_MAX) {
      const path = `items[${index}].total_price`;
      const product = quantity * unitPrice;
      expectSum(path, "item-total", totalPrice, product, `${quantity} x ${unitPrice}`);
    }
  }

  const { sub_total: amount, tax = 0, shipping_fee: shippingFee = 0, total } = order;
  if (!isNumber(amount)) return failures;
  if (items.length > 0 && subTotal !== undefined) {
    expectSum("sub_total", "sub-total", amount, subTotal, "the sum of the items");
  }
  if (isNumber(total) && isNumber(tax) && isNumber(shippingFee)) {
    const of = `${amount} + ${tax} + ${shippingFee}`;
    expectSum("total", "total", total, amount + tax + shippingFee, of);
  }
  return failures;
}

type SchemaError = ReturnType<typeof CHECK.Errors>[number];

function schemaFailures(order: unknown): OrderFailure[] {
  return schemaErrors(order).flatMap((error) => failuresOf(error, order));
}

// TypeBox keeps 8 errors unless its settings, which are global, say otherwise.
function schemaErrors(order: unknown): readonly SchemaError[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: FAILURES_MAX });
  try {
    return CHECK.Errors(order);
  } finally {
    Settings.Set({ maxErrors });
  }
}

function failuresOf(error: SchemaError, order: unknown): OrderFailure[] {
  const { path, field, value } = locate(order, error.instancePath);
  switch (error.keyword) {
    case "required":
      return error.params.requiredProperties.map((name) =>
        failure(path === "" ? name : `${path}.${name}`, "required", "a value", undefined)
      );
    case "type": {
      const types: readonly string[] = [error.params.type].flat();
      return [failure(path, "type", types.map(withArticle).join(" or "), value)];
    }
    case "pattern": {
      const [rule, expected] = PATTERN_RULES[String(error.params.pattern)] ?? SCHEMA_RULE;
      return [failure(path, rule, expected, value)];
    }
    case "exclusiveMinimum": {
      const rule = field === "sequence" ? "positive-sequence" : "positive-quantity";
      return [failure(path, rule, "a whole number above 0", value)];
    }
    case "minimum":
      return [failure(path, "not-negative", "a number not below 0", value)];
    case "maximum":
      return [failure(path, "safe-integer", "a whole number below 2^53", value)];
    case "minItems":
      return [failure(path, "at-least-one-item", "at least 1 item", value)];
    default:
      return [failure(path, "schema", error.message, value)];
  }
}

const SCHEMA_RULE: readonly [OrderRule, string] = ["schema", "text of another form"];
const PATTERN_RULES: Readonly<Record<string, readonly [OrderRule, string]>> = {
  [NOT_BLANK_PATTERN]: ["not-blank", "text that is not blank"],
  [UUID_PATTERN]: ["uuid", "a UUID"],
  [EMAIL_PATTERN]: ["email", "an e-mail address or nothing"],
  [VERSION_PATTERN]: ["version", "version 1 or 1.x"],
};

// Follows a JSON Pointer whose segments are the schema's own names and indexes: none needs unescaping.
function locate(order: unknown, pointer: string) {
  let path = "";
  let field = "";
  let value = order;
  for (const segment of pointer.split("/").slice(1)) {
    if (Array.isArray(value)) {
      value = value[Number(segment)];
      path += `[${segment}]`;
    } else {
      value = isFields(value) ? value[segment] : undefined;
      path += path === "" ? segment : `.${segment}`;
    }
    field = segment;
  }
  return { path, field, value };
}

function failure(path: string, rule: OrderRule, expected: string, value: unknown): OrderFailure {
  return { path, rule, expected, actual: describeValue(value) };
}

function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    const text = JSON.stringify(value.slice(0, QUOTED_LENGTH_MAX));
    return value.length > QUOTED_LENGTH_MAX ? `${text}…` : text;
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return isFields(value) ? "an object" : String(value);
}

function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text;
}

function formatAmount(amount: number): string {
  return String(Number(amount.toPrecision(12)));
}

function withArticle(type: string): string {
  if (type === "null") return type;
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
