"""One call on the thing itself: a training step of a model is followed and judged."""

from collections.abc import Callable
from typing import Any

from tinyvae.audit import follow, onestep
from tinyvae.audit.case import OF_SIZES
from tinyvae.audit.findings import Finding, Report, error, unjudged, value
from tinyvae.audit.pieces import find
from tinyvae.audit.probe import StepFunction
from tinyvae.audit.slopes import through_slopes
from tinyvae.audit.together import Together


def audit_step(
    model: Any, x: Any, step: Callable | None, settings: tuple, allow: tuple[str, ...]
) -> Report:
    """Audit one training step of a model."""
    beta, prior, scale, _, batch, _, _, dtype = settings
    if x is None:
        raise ValueError("pass x=, a batch of the model's data")
    findings: list[Finding] = []
    if step is None:
        step, words = onestep.usual_step(model)
        findings.append(value("step", f"taken: {words}"))
    if not callable(step):
        raise TypeError(f"step must be a function of the model and x, not {step!r}")
    checked = ["step"]
    try:
        followed = follow.Step(step, model, x)
        pieces = find(followed)
    except follow.Wrong as failure:
        return Report([*findings, error(failure.name, str(failure))], checked, None, allow)
    except follow.NotFollowed as failure:
        return Report([*findings, unjudged("step", str(failure))], checked, None, allow)
    heads = onestep.Heads(followed, pieces, beta)
    why = heads.order()
    if why is None and not pieces.outputs:
        why = unjudged("step", "the decoder's output was not found in the loss")
    if why is not None:
        return Report([*findings, why], checked, None, allow)
    findings += onestep.audit_heads(heads) + onestep.audit_parameters(followed, pieces)
    latents = followed.graph.shape(pieces.heads[0][0])[1:]
    data = followed.data
    pixels = data.shape[1:] if data.dtype.kind == "f" else None
    outputs = followed.graph.shape(pieces.outputs[0][0])
    if pixels is None or followed.graph.size(pieces.outputs[0][0]) % data[:1].size:
        pixels = outputs[1:]  # tokens, or a target that is not x
        if outputs[0] != followed.B and outputs[0] % followed.B == 0:  # rows and places merged
            pixels = (outputs[0] // followed.B, *pixels)
    pieces.means = onestep.averaged(followed, pieces, latents, pixels)
    functions = {
        name: StepFunction(followed, pieces, name, beta) for name in ("sample", "objective")
    }
    batch = followed.B if followed.fixed else batch
    audited = Together(
        functions, beta, prior, scale, None, batch, tuple(latents), tuple(pixels), dtype
    )
    try:
        findings += audited.run()
        findings = _with_wiring(audited, findings)
    except ValueError as failure:
        return Report([*findings, unjudged("step", str(failure))], checked, None, allow)
    if followed.graph.paired:  # x_hat has a row for each pair of the batch's rows
        findings = [f for f in findings if not (f.kind == "error" and f.name in OF_SIZES)]
        text = "x_hat is made of pairs of rows: how it is reduced was not judged"
        findings.append(unjudged("balance-unclear", text))
    findings += onestep.audit_data(followed, audited.reconstruction)
    findings.append(onestep.audit_validation(followed))
    checked = [*checked, *audited.checked]
    return Report(findings, checked, audited.beta_found, allow, audited.framework)


def _with_wiring(audited: Together, findings: list[Finding]) -> list[Finding]:
    """Return the findings with those on what the loss of a step gets, and from where."""
    objective, term, found = audited.functions["objective"], audited.term, audited.reconstruction
    bounded = found is not None and found.form == "cross-entropy"
    if not bounded and not any(f.name == "gradient-cut" for f in findings):
        findings += through_slopes(objective, objective.step.graph.shape(objective.pieces.z))
    if not objective.sees_x(term):
        text = "the loss does not depend on x, but through the encoder: x_hat is compared with "
        findings.append(error("wiring-x", text + "something else"))
    if objective.sees_others(term):
        text = "the loss has further terms, of networks beside the encoder and the decoder"
        findings.append(unjudged("other-terms", text))
    if found:
        findings += onestep.audit_second_output(objective, term, found)
    if bounded:
        text = "the loss takes probabilities, but the decoder's output is a layer's, unbounded"
        findings.append(error("bce-needs-sigmoid", text))
    if audited.kl is not None and not audited.kl.right and audited.swapped():
        text = "mu and s are exchanged between the sampler and the KL"
        findings = [f for f in findings if not f.name.startswith("kl-")]
        findings.append(error("wiring-swapped", text))
    return findings
