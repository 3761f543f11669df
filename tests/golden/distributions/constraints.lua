-- Written by scripts/gen/golden_distributions.py with PyTorch 2.15.0.
local inf, nan = math.huge, 0 / 0
return {
{code="D.constraints.boolean",params={},text="Boolean()",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=true,check={"bool",{12},{false,false,false,true,false,false,true,false,false,false,false,false}}},
{code="D.constraints.nonnegative_integer",params={},text="IntegerGreaterThan(lower_bound=0)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=true,check={"bool",{12},{false,false,false,true,false,false,true,false,true,true,false,false}}},
{code="D.constraints.positive_integer",params={},text="IntegerGreaterThan(lower_bound=1)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=true,check={"bool",{12},{false,false,false,false,false,false,true,false,true,true,false,false}}},
{code="D.constraints.real",params={},text="Real()",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{true,true,true,true,true,true,true,true,true,true,true,false}},biject_to={text=[==[
ComposeTransform(
    
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.5,-1.0,2.0}}},transform_to={text=[==[
ComposeTransform(
    
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.5,-1.0,2.0}}}},
{code="D.constraints.positive",params={},text="GreaterThan(lower_bound=0.0)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,false,false,true,true,true,true,true,true,true,false}},biject_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.36787944117144233,7.38905609893065}}},transform_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.36787944117144233,7.38905609893065}}}},
{code="D.constraints.nonnegative",params={},text="GreaterThanEq(lower_bound=0.0)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,false,true,true,true,true,true,true,true,true,false}},biject_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.36787944117144233,7.38905609893065}}},transform_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.36787944117144233,7.38905609893065}}}},
{code="D.constraints.unit_interval",params={},text="Interval(lower_bound=0.0, upper_bound=1.0)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,false,true,true,true,true,false,false,false,false,false}},biject_to={text="SigmoidTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.62245933120185459,0.2689414213699951,0.88079707797788231}}},transform_to={text="SigmoidTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.62245933120185459,0.2689414213699951,0.88079707797788231}}}},
{code="D.constraints.integer_interval{lower_bound = 0, upper_bound = 2}",params={},text="IntegerInterval(lower_bound=0, upper_bound=2)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=true,check={"bool",{12},{false,false,false,true,false,false,true,false,true,false,false,false}}},
{code="D.constraints.greater_than{lower_bound = 0.5}",params={},text="GreaterThan(lower_bound=0.5)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,false,false,false,false,true,true,true,true,true,false}},biject_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{2.1487212707001282,0.86787944117144233,7.88905609893065}}},transform_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{2.1487212707001282,0.86787944117144233,7.88905609893065}}}},
{code="D.constraints.greater_than_eq{lower_bound = 0.5}",params={},text="GreaterThanEq(lower_bound=0.5)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,false,false,false,true,true,true,true,true,true,false}},biject_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{2.1487212707001282,0.86787944117144233,7.88905609893065}}},transform_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{2.1487212707001282,0.86787944117144233,7.88905609893065}}}},
{code="D.constraints.less_than{upper_bound = 1}",params={},text="LessThan(upper_bound=1)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{true,true,true,true,true,true,false,false,false,false,false,false}},biject_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{-0.64872127070012819,0.63212055882855767,-6.38905609893065}}},transform_to={text=[==[
ComposeTransform(
    ExpTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{-0.64872127070012819,0.63212055882855767,-6.38905609893065}}}},
{code="D.constraints.interval{lower_bound = -0.5, upper_bound = 1.0}",params={},text="Interval(lower_bound=-0.5, upper_bound=1.0)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,true,true,true,true,true,false,false,false,false,false}},biject_to={text=[==[
ComposeTransform(
    SigmoidTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.43368899680278195,-0.096587867945007344,0.82119561696682353}}},transform_to={text=[==[
ComposeTransform(
    SigmoidTransform(),
    AffineTransform()
)]==],x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.43368899680278195,-0.096587867945007344,0.82119561696682353}}}},
{code="D.constraints.interval{lower_bound = P[1], upper_bound = P[2]}",params={{{"float64",{2},{0.0,1.0}},true},{{"float64",{},{2.0}},true}},text="Interval(lower_bound=tensor([0., 1.], dtype=torch.float64, requires_grad=True), upper_bound=2.0)",value={"float64",{2},{0.5,0.5}},event_dim=0,is_discrete=false,check={"bool",{2},{true,false}},biject_to={text=[==[
ComposeTransform(
    SigmoidTransform(),
    AffineTransform()
)]==],x={"float64",{1,2},{0.5,-1.0}},y={"float64",{1,2},{1.2449186624037092,1.2689414213699952}}},transform_to={text=[==[
ComposeTransform(
    SigmoidTransform(),
    AffineTransform()
)]==],x={"float64",{1,2},{0.5,-1.0}},y={"float64",{1,2},{1.2449186624037092,1.2689414213699952}}}},
{code="D.constraints.half_open_interval{lower_bound = 0.0, upper_bound = 1.0}",params={},text="HalfOpenInterval(lower_bound=0.0, upper_bound=1.0)",value={"float32",{12},{-inf,-2.0,-0.5,0.0,0.25,0.5,1.0,1.5,2.0,3.0,inf,nan}},event_dim=0,is_discrete=false,check={"bool",{12},{false,false,false,true,true,true,false,false,false,false,false,false}},biject_to={text="SigmoidTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.62245933120185459,0.2689414213699951,0.88079707797788231}}},transform_to={text="SigmoidTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{0.62245933120185459,0.2689414213699951,0.88079707797788231}}}},
{code="D.constraints.one_hot",params={},text="OneHot()",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=1,is_discrete=true,check={"bool",{5},{false,true,false,false,false}}},
{code="D.constraints.real_vector",params={},text="IndependentConstraint(Real(), 1)",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=1,is_discrete=false,check={"bool",{5},{true,true,true,true,true}},biject_to={text=[==[
IndependentTransform(ComposeTransform(
    
), 1)]==],x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}}},transform_to={text=[==[
IndependentTransform(ComposeTransform(
    
), 1)]==],x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}}}},
{code="D.constraints.simplex",params={},text="Simplex()",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=1,is_discrete=false,check={"bool",{5},{true,true,false,false,false}},biject_to={text="StickBreakingTransform()",x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,4},{0.35466124439244334,0.1002613801409296,0.48010255958285813,0.06497481588376891,0.29972404264597124,0.48419772535160888,0.069322499470897567,0.14675573253152227}}},transform_to={text="SoftmaxTransform()",x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3},{0.17529039214003669,0.039112573270687456,0.78559703458927588,0.20583660399765155,0.71844034115106492,0.075723054851283514}}}},
{code="D.constraints.multinomial{upper_bound = 3}",params={},text="Multinomial()",value={"int64",{3,3},{1,2,0,2,2,0,-1,1,1}},event_dim=1,is_discrete=true,check={"bool",{3},{true,false,false}}},
{code="D.constraints.lower_triangular",params={},text="LowerTriangular()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{true,false,true,false,true,false}}},
{code="D.constraints.lower_cholesky",params={},text="LowerCholesky()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{true,false,true,false,false,false}},transform_to={text="LowerCholeskyTransform()",x={"float64",{3,3},{0.5,-1.0,0.3,0.25,1.5,-0.75,1.0,0.2,-0.5}},y={"float64",{3,3},{1.6487212707001282,0.0,0.0,0.25,4.4816890703380645,0.0,1.0,0.2,0.60653065971263342}}}},
{code="D.constraints.corr_cholesky",params={},text="CorrCholesky()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{false,false,true,false,false,false}},biject_to={text="CorrCholeskyTransform()",x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3,3},{1.0,0.0,0.0,0.46211715726000979,0.88681888397007391,0.0,-0.76159415595576485,0.62474219319798674,0.17225427034531132,1.0,0.0,0.0,0.24491866240370913,0.96954362914021464,0.0,0.9051482536448664,-0.26999930125757915,0.32833978778708439}}},transform_to={text="CorrCholeskyTransform()",x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3,3},{1.0,0.0,0.0,0.46211715726000979,0.88681888397007391,0.0,-0.76159415595576485,0.62474219319798674,0.17225427034531132,1.0,0.0,0.0,0.24491866240370913,0.96954362914021464,0.0,0.9051482536448664,-0.26999930125757915,0.32833978778708439}}}},
{code="D.constraints.square",params={},text="Square()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{true,true,true,true,true,true}}},
{code="D.constraints.symmetric",params={},text="Symmetric()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{false,true,false,true,false,true}}},
{code="D.constraints.positive_semidefinite",params={},text="PositiveSemidefinite()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{false,true,false,true,false,true}},transform_to={text="PositiveDefiniteTransform()",x={"float64",{3,3},{0.5,-1.0,0.3,0.25,1.5,-0.75,1.0,0.2,-0.5}},y={"float64",{3,3},{2.7182818284590455,0.41218031767503205,1.6487212707001282,0.41218031767503205,20.148036923187664,1.1463378140676128,1.6487212707001282,1.1463378140676128,1.4078794411714424}}}},
{code="D.constraints.positive_definite",params={},text="PositiveDefinite()",value={"float64",{6,3,3},{1.5,0.0,0.0,0.5,1.25,0.0,-0.25,0.75,2.0,2.0,0.5,0.25,0.5,1.5,-0.25,0.25,-0.25,1.0,1.0,0.0,0.0,0.6,0.8,0.0,0.0,0.6,0.8,1.0,2.0,0.0,2.0,1.0,0.0,0.0,0.0,1.0,-1.0,0.0,0.0,0.5,1.0,0.0,0.0,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0}},event_dim=2,is_discrete=false,check={"bool",{6},{false,true,false,true,false,true}},transform_to={text="PositiveDefiniteTransform()",x={"float64",{3,3},{0.5,-1.0,0.3,0.25,1.5,-0.75,1.0,0.2,-0.5}},y={"float64",{3,3},{2.7182818284590455,0.41218031767503205,1.6487212707001282,0.41218031767503205,20.148036923187664,1.1463378140676128,1.6487212707001282,1.1463378140676128,1.4078794411714424}}}},
{code="D.constraints.square",params={},text="Square()",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=2,is_discrete=false,check={"bool",{},{false}}},
{code="D.constraints.independent{base_constraint = D.constraints.positive, reinterpreted_batch_ndims = 1}",params={},text="IndependentConstraint(GreaterThan(lower_bound=0.0), 1)",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=1,is_discrete=false,check={"bool",{5},{true,false,false,false,true}},biject_to={text=[==[
IndependentTransform(ComposeTransform(
    ExpTransform(),
    AffineTransform()
), 1)]==],x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3},{1.6487212707001282,0.36787944117144233,7.38905609893065,1.2840254166877414,4.4816890703380645,0.47236655274101469}}},transform_to={text=[==[
IndependentTransform(ComposeTransform(
    ExpTransform(),
    AffineTransform()
), 1)]==],x={"float64",{2,3},{0.5,-1.0,2.0,0.25,1.5,-0.75}},y={"float64",{2,3},{1.6487212707001282,0.36787944117144233,7.38905609893065,1.2840254166877414,4.4816890703380645,0.47236655274101469}}}},
{code="D.constraints.MixtureSameFamilyConstraint{base_constraint = D.constraints.positive}",params={},text="MixtureSameFamilyConstraint(GreaterThan(lower_bound=0.0))",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=0,is_discrete=false,check={"bool",{5,3},{true,true,true,false,true,false,false,true,true,true,true,false,true,true,true}}},
{code="D.constraints.cat{cseq = {D.constraints.positive, D.constraints.unit_interval}, dim = -1, lengths = {1, 2}}",params={},text="Cat()",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=0,is_discrete=false,check={"bool",{5,3},{true,true,true,false,true,true,false,true,true,true,true,true,true,true,true}},biject_to={text="CatTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.2689414213699951,0.88079707797788231}}},transform_to={text="CatTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.2689414213699951,0.88079707797788231}}}},
{code="D.constraints.stack{cseq = {D.constraints.positive, D.constraints.unit_interval, D.constraints.real}, dim = 1}",params={},text="Stack()",value={"float32",{5,3},{0.200000003,0.300000012,0.5,0.0,1.0,0.0,-0.5,1.0,0.5,1.0,1.0,0.0,0.5,0.200000003,0.200000003}},event_dim=0,is_discrete=false,check={"bool",{5,3},{true,true,true,false,true,true,false,true,true,true,true,true,true,true,true}},biject_to={text="StackTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.2689414213699951,2.0}}},transform_to={text="StackTransform()",x={"float64",{1,3},{0.5,-1.0,2.0}},y={"float64",{1,3},{1.6487212707001282,0.2689414213699951,2.0}}}},
}
