"""What a factorisation may be: its notation, and the checks that refuse an impossible one at construction."""

from tfadgm.networks import mlp


def formula(p, q):
    """Returns "p(x,y,z) = p(y) p(z) p(x|y,z)" and "q(y,z|x) = q(y|x) q(z|x,y)", two lines, also where q reads h(x)."""
    q = {name: factor for name, factor in q.items() if name != mlp.SHARED}
    joint = ",".join(["x", *(name for name in p if name != "x")])
    latents = ",".join(q)
    return f"p({joint}) = {_product('p', p)}\nq({latents}|x) = {_product('q', q)}"


def notation(symbol, name, given):
    """Returns "q(z|x,y)", or "p(z)" of a variable without parents."""
    return f"{symbol}({name}|{','.join(given)})" if given else f"{symbol}({name})"


def _product(symbol, factors):
    return " ".join(notation(symbol, name, f.given) for name, f in factors.items())


def ancestors(p, name):
    """Returns the names of the parents of `name` in p, their parents, and so on."""
    found = set()
    pending = list(p[name].given)
    while pending:
        parent = pending.pop()
        if parent not in found:
            found.add(parent)
            pending.extend(p[parent].given)
    return found


def check(model, p, q, size, num_classes):
    """Returns the size of every variable, or raises a ValueError that writes out p and q.

    Required: x has a factor in p and none in q; parents precede their children, in p from nothing and in q from x;
    every latent is in both, except a deterministic variable of q, which has no density and so no place in p; sizes agree.
    """
    errors = []
    if "x" not in p:
        errors.append("p has no factor for x")
    if "x" in q:
        errors.append("q has a factor for x, which is observed")
    errors += _order_errors("p", p, set()) + _order_errors("q", q, {"x"})
    random = {name for name, factor in q.items() if not factor.is_deterministic}
    for name in sorted(set(p) - {"x"} - random):
        why = "is deterministic in q, hence has no density, but has one in p" if name in q else "is in p but not in q"
        errors.append(f"{name} {why}")
    errors += [f"{name} is in q but not in p" for name in sorted(random - set(p))]
    sizes = {"x": size, "y": num_classes} if "y" in q else {"x": size}
    for symbol, factors in (("q", q), ("p", p)):
        for name, factor in factors.items():
            if sizes.setdefault(name, factor.units) != factor.units:
                errors.append(f"{name} has {factor.units} units in {symbol}, expected {sizes[name]}")
    if errors:
        raise ValueError(f"{model}: impossible factorisation: {'; '.join(errors)}.\n{formula(p, q)}")
    return sizes


def _order_errors(symbol, factors, known):
    known = set(known)
    errors = []
    for name, factor in factors.items():
        for parent in factor.given:
            if parent == name:
                errors.append(f"{symbol}({name}|.) has itself as a parent")
            elif parent not in known:
                errors.append(
                    f"{symbol}({name}|{','.join(factor.given)}) comes before its parent {parent}, or {parent} has no factor"
                )
        known.add(name)
    return errors
