// Cleans retail orders, as clean.py does, to the letter.
//
// A number in JavaScript is a double, which holds 0.1 only nearly. So money stays text here, and is multiplied as BigInt in
// its smallest unit: "2.55" times 6 is 255 times 6 with the point put back, "15.30".

function decimal(text) {
  if (!/^-?[0-9]+(\.[0-9]+)?$/.test(text)) throw new RangeError("not a price");
  const [whole, fraction = ""] = text.split(".");
  return { units: BigInt(whole + fraction), places: fraction.length };
}

function written({ units, places }) {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, "0");
  const point = digits.length - places;
  return (units < 0n ? "-" : "") + digits.slice(0, point) + (places ? "." + digits.slice(point) : "");
}

function integer(text) {
  if (!/^-?[0-9]+$/.test(text)) throw new RangeError("not a whole number");
  return Number(text);
}

function process(data) {
  if (data.InvoiceNo.startsWith("C")) return null;
  const price = decimal(data.UnitPrice);
  if (price.units <= 0n) return null;
  const quantity = integer(data.Quantity);
  return {
    InvoiceNo: data.InvoiceNo,
    StockCode: data.StockCode,
    Description: data.Description && data.Description.trim(),
    Quantity: quantity,
    InvoiceDate: data.InvoiceDate.replace(" ", "T"),
    UnitPrice: data.UnitPrice,
    CustomerID: data.CustomerID && integer(data.CustomerID.replace(/\.0$/, "")),
    Country: data.Country,
    LineTotal: written({ units: price.units * BigInt(quantity), places: price.places }),
  };
}
