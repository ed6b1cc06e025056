/**
 * The contract: what an order is on the wire, as a JSON Schema document from which the type is derived.
 *
 * {@link OrderSchema} says what one field can say of itself. Three rules bind several fields, and no
 * JSON Schema can say them; `sums.ts` checks them, each within one cent:
 *
 *     total_price = quantity x unit_price          of every item
 *     sub_total   = the sum of the items' total_price
 *     total       = sub_total + tax + shipping_fee
 *
 * The check is lenient where the contract has no rule: a field that only informs may be absent, and a
 * field that the schema does not know is kept. What a rule speaks of must be there.
 */

import Type, { type Static } from "typebox";

/** The version of the contract that new orders carry. Any `1.x` is read, see {@link OrderSchema}. */
export const ORDER_VERSION = "1.1";

export const NOT_BLANK_PATTERN = "\\S";
export const UUID_PATTERN = "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$";
export const VERSION_PATTERN = "^1(?:\\.[0-9]+)*$";
// Nothing, or one @ with text before it and a host name after it. It takes internationalized
// addresses, and leaves out quoted local parts. No part can match in two ways, so it is linear.
export const EMAIL_PATTERN =
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

/** The schema of an order: the one definition, of which all else is made. */
export const ORDER_SCHEMA = Type.Object({
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
export const OrderSchema: Readonly<Record<string, unknown>> = { ...ORDER_SCHEMA };

/** A type whose every part is read-only. */
export type Immutable<Value> = Value extends readonly (infer Element)[]
  ? readonly Immutable<Element>[]
  : Value extends object ? { readonly [Key in keyof Value]: Immutable<Value[Key]> }
  : Value;

/** An order; what `validateOrder` finds no failure in. What a field may hold stands in {@link OrderSchema}. */
export type Order = Immutable<Static<typeof ORDER_SCHEMA>>;
/** One line of an order. */
export type OrderItem = Order["items"][number];
/** The metadata of an order's message. */
export type OrderMetadata = NonNullable<Order["metadata"]>;
/** The customer as an order carries it. */
export type CustomerInfo = Order["customer_info"];
/** The stock of one product as an order carries it. */
export type InventoryStatus = NonNullable<Order["inventory_status"]>[number];
